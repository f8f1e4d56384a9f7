//! What the files of a system say of its kernel: modules that are there, the configuration that it was built with.

use crate::doctor::Installed;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A configuration is some 300 kB long; what is beyond this is none.
const LARGEST: usize = 8 << 20;

/// Reads them. What is not there is left out.
pub fn installed() -> Installed {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let folders = ["/lib/modules", "/usr/lib/modules"].map(|folder| Path::new(folder).join(&release));
    let list =
        |name: &str| folders.iter().find_map(|folder| fs::read_to_string(folder.join(name)).ok()).unwrap_or_default();
    let paths = |text: &str, end: char| -> BTreeSet<String> {
        text.lines().filter_map(|line| module(line.split(end).next()?)).collect()
    };
    let loaded = fs::read_to_string("/proc/modules").unwrap_or_default();
    Installed {
        builtin: paths(&list("modules.builtin"), '\n'),
        there: paths(&list("modules.dep"), ':'),
        loaded: loaded.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect(),
        config: config(&release, &folders).map(|text| read_config(&text)),
        release,
    }
}

/// `kernel/net/sched/sch_cake.ko.zst` is `sch_cake`.
fn module(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    Some(file.split(".ko").next()?.replace('-', "_"))
}

/// The text of the configuration: the kernel's own, or the distribution's copy.
fn config(release: &str, folders: &[PathBuf]) -> Option<String> {
    if let Ok(packed) = fs::read("/proc/config.gz")
        && let Some(text) = unpack(&packed)
    {
        return Some(text);
    }
    let files = folders.iter().map(|folder| folder.join("config"));
    files.chain([PathBuf::from(format!("/boot/config-{release}"))]).find_map(|path| {
        let mut text = String::new();
        fs::File::open(path).ok()?.take(LARGEST as u64).read_to_string(&mut text).ok()?;
        Some(text)
    })
}

/// The text of a gzip file (RFC 1952) as the kernel makes it: a header of ten octets, a name perhaps, and the data.
fn unpack(packed: &[u8]) -> Option<String> {
    let (header, rest) = packed.split_at_checked(10)?;
    let [0x1f, 0x8b, 8, flags, ..] = header else { return None };
    let data = match flags {
        0 => rest,
        // a name up to its zero
        8 => rest.get(rest.iter().position(|b| *b == 0)? + 1..)?,
        _ => return None,
    };
    String::from_utf8(miniz_oxide::inflate::decompress_to_vec_with_limit(data, LARGEST).ok()?).ok()
}

/// `CONFIG_NET_SCH_CAKE=m`, without those that are not set.
fn read_config(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (symbol, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
        Some((symbol.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_modules_and_symbols_are_read() {
        assert_eq!(module("kernel/net/sched/sch_fq_codel.ko.zst").unwrap(), "sch_fq_codel");
        assert_eq!(module("kernel/drivers/net/usb/cdc-ether.ko").unwrap(), "cdc_ether");
        let config = read_config("# CONFIG_NET_SCH_RED is not set\nCONFIG_NET_SCH_CAKE=m\nCONFIG_HZ=250\n");
        assert_eq!(config.get("NET_SCH_CAKE").unwrap(), "m");
        assert_eq!((config.get("HZ").unwrap().as_str(), config.get("NET_SCH_RED")), ("250", None));
    }

    #[test]
    fn a_packed_configuration_is_unpacked_and_junk_is_not() {
        // printf 'CONFIG_HZ=250\n' | gzip -n
        let packed = [
            0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x73, 0xf6, 0xf7, 0x73, 0xf3, 0x74, 0x8f, 0xf7, 0x88, 0xb2, 0x35, 0x32,
            0x35, 0xe0, 2, 0, 0xfb, 0x5f, 0x3a, 1, 14, 0, 0, 0,
        ];
        assert_eq!(unpack(&packed).unwrap(), "CONFIG_HZ=250\n");
        assert_eq!(unpack(b"no gzip at all"), None);
        assert_eq!(unpack(&packed[..14]), None);
    }
}
