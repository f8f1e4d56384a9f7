//! Classifiers, one file each, named as the kernel names them.
