//! The fuzz targets' own functions, for a bounded while on stable: seeds from the repository, cut, joined and flipped.
//! The open-ended run is `cargo +nightly fuzz run yaml` (or `shape`, `expression`, `dump`, `script`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use shapectl::fuzz;
use std::path::{Path, PathBuf};

/// A small generator (xorshift): the same texts in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

fn files(dir: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut open = vec![root];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|e| path.extension().is_some_and(|x| x == *e)) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|p| std::fs::read(p).expect("a seed")).collect()
}

fn run(seeds: &[Vec<u8>], rounds: usize, target: fn(&[u8])) {
    assert!(!seeds.is_empty(), "there are seeds");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for seed in seeds {
        target(seed);
    }
    for _ in 0..rounds {
        let mut bytes = seeds[dice.next(seeds.len())].clone();
        for _ in 0..=dice.next(6) {
            let at = dice.next(bytes.len() + 1);
            match dice.next(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, dice.next(256) as u8),
                2 if at < bytes.len() => bytes[at] ^= 1 << dice.next(8),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 => {
                    let other = &seeds[dice.next(seeds.len())];
                    let from = dice.next(other.len() + 1);
                    let to = (from + dice.next(64)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let words: [&[u8]; 10] = [b"{", b"}", b"\"", b"\n", b"$x", b": ", b"[", b"\xff", b"$((", b"<<E\n"];
                    bytes.splice(at..at, words[dice.next(words.len())].iter().copied());
                }
            }
        }
        bytes.truncate(8192);
        target(&bytes);
    }
}

#[test]
fn yaml() {
    run(&files("samples", &["yaml"]), 800, fuzz::fuzz_yaml);
}

#[test]
fn shape() {
    run(&files("samples", &["shape"]), 800, fuzz::fuzz_shape);
}

#[test]
fn expression() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("grammar/expressions.md")).unwrap();
    let seeds: Vec<Vec<u8>> = text.split('`').skip(1).step_by(2).map(|s| s.as_bytes().to_vec()).collect();
    run(&seeds, 5_000, fuzz::fuzz_expression);
}

#[test]
fn script() {
    run(&files("tests/scripts", &["sh"]), 1_500, fuzz::fuzz_script);
}

#[test]
fn dump() {
    run(&dumps(), 5_000, fuzz::fuzz_dump);
}

/// The recorded dumps, from their hexadecimal form.
fn dumps() -> Vec<Vec<u8>> {
    let texts = files("tests/dumps", &["hex"]);
    let hex = |text: &[u8]| -> Vec<u8> {
        let digits: Vec<u8> = String::from_utf8_lossy(text)
            .lines()
            .filter(|l| !l.starts_with('#'))
            .flat_map(|l| l.bytes().filter(u8::is_ascii_hexdigit).collect::<Vec<_>>())
            .collect();
        digits.chunks_exact(2).filter_map(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok()).collect()
    };
    texts.iter().map(|t| hex(t)).collect()
}
