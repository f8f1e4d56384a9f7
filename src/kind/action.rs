//! Actions of filters, one file each, named as the kernel names them.
