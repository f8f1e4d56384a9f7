#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shapectl::fuzz::fuzz_script(bytes));
