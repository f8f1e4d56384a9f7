//! The JSON Schema of the YAML notation against real files: every sample is valid, every file with an error of shape is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use std::path::{Path, PathBuf};

fn files(dir: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&root).expect("a folder").flatten().map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    files
}

fn json(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    let yaml: serde_yaml::Value = serde_yaml::from_str(&text).ok()?;
    serde_json::to_value(yaml).ok()
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&shapectl::schema::schema()).expect("the schema is one")
}

#[test]
fn every_sample_is_valid() {
    let validator = validator();
    let files = files("samples");
    assert!(files.len() > 10);
    for path in files {
        let value = json(&path).expect("yaml");
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{} at {}", e, e.instance_path)).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

/// Codes whose mistake is one of shape: a word that does not exist, a value of another shape.
const SHAPE: &[&str] =
    &["unknown-key", "wrong-shape", "unknown-kind", "bare-number", "wrong-unit", "bad-value", "empty-rule", "version"];

#[test]
fn every_file_with_an_error_of_shape_is_not() {
    let validator = validator();
    let mut seen = 0;
    for path in files("tests/refused") {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if !SHAPE.contains(&name.as_str()) {
            continue;
        }
        let Some(value) = json(&path) else { continue };
        seen += 1;
        assert!(!validator.is_valid(&value), "{name}: the schema finds nothing");
    }
    assert!(seen >= 6, "{seen} files of shape errors were looked at");
}
