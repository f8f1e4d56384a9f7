//! What of a link, and of the scheduler's clock, defeats shaping.

use super::{Installed, smallest_bucket};
use crate::facts::Facts;
use crate::netlink::LinkInfo;
use crate::tree::Interface;
use crate::unit::{Bytes, Rate, Unit};

/// What is known of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkFacts {
    /// What the kernel's dump says.
    pub info: LinkInfo,
    /// The driver's name, from `/sys`; `None` for a software device, and where `/sys` shows another namespace.
    pub driver: Option<String>,
    /// `full` or `half`.
    pub duplex: Option<String>,
    /// Bytes that the driver's queue limit (BQL) stands at, of the first queue; `None` if the kernel has no such limits.
    pub bql: Option<u64>,
    /// The features that are on, in ethtool's words: `tx-tcp-segmentation`; `None` if they cannot be asked for.
    pub features: Option<Vec<String>>,
    /// Whether `/sys` shows this link.
    pub seen: bool,
}

/// Something odd about a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is about, in one word: `offload`.
    pub about: &'static str,
    /// The sentence.
    pub text: String,
    /// What to run.
    pub remedy: Option<String>,
}

impl Remark {
    fn new(about: &'static str, text: impl Into<String>) -> Remark {
        Remark { about, text: text.into(), remedy: None }
    }

    fn remedy(mut self, command: String) -> Remark {
        self.remedy = Some(command);
        self
    }
}

/// Features that hand over more than a packet at once: ethtool's names, and the words of `ethtool -K`.
const SEGMENTS: &[(&str, &str)] = &[
    ("tx-tcp-segmentation", "tso"),
    ("tx-tcp6-segmentation", "tso"),
    ("tx-udp-segmentation", "tx-udp-segmentation"),
    ("tx-generic-segmentation", "gso"),
];
const MERGES: &[(&str, &str)] = &[("rx-gro", "gro"), ("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")];

/// Devices that hand on at once what they are given: nothing waits in them, so that a discipline on them without a rate of
/// its own has nothing to order.
const PASSING: &[&str] = &[
    "bridge",
    "vlan",
    "macvlan",
    "macvtap",
    "ipvlan",
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "ipip",
    "sit",
    "wireguard",
    "bond",
    "team",
    "dummy",
    "vrf",
    "ip6tnl",
    "ip6gre",
    "nlmon",
];

fn ethtool(name: &str, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word} off")).collect();
    format!("ethtool -K {} {}", crate::script::quote(name), words.join(" "))
}

/// The `ethtool -K` words of those features that are on, each once.
fn on(features: &[String], of: &[(&str, &'static str)]) -> Vec<&'static str> {
    let mut words = Vec::new();
    for (feature, word) in of {
        if features.iter().any(|on| on == feature) && !words.contains(word) {
            words.push(*word);
        }
    }
    words
}

/// What is odd about a link, given what it holds. `clock` is that of the scheduler.
pub fn remarks(link: &LinkFacts, held: Option<&Interface>, clock: &Facts) -> Vec<Remark> {
    let LinkFacts { info, driver, duplex, bql, features, seen } = link;
    let mut out = Vec::new();
    let name = crate::script::quote(&info.name);
    if !info.up {
        out.push(Remark::new("state", "the link is down").remedy(format!("ip link set dev {name} up")));
    }
    match features {
        Some(features) => offloads(link, features, held, clock, &mut out),
        None => out.push(
            Remark::new("offload", "whether offloads are on cannot be asked here: segments may be far above the MTU")
                .remedy(format!("ethtool -k {name}")),
        ),
    }
    if info.txqueuelen == 0 {
        let text = "txqueuelen is 0: fifos without a limit of their own hold one packet at most, and htb, red, tbf and \
                    others begin with such fifos";
        out.push(Remark::new("txqueuelen", text).remedy(format!("ip link set dev {name} txqueuelen 1000")));
    }
    let multiple = held.and_then(|i| i.egress.as_ref()).is_some_and(|b| b.automatic.iter().any(|o| o.name == "mq"));
    if info.queues > 1 && multiple {
        let text = format!(
            "{} transmit queues under `mq`: a classful root takes its place, and all processors then wait for one lock",
            info.queues
        );
        out.push(Remark::new("queues", text));
    }
    if let Some(kind) = info.kind.as_deref().filter(|kind| PASSING.contains(kind)) {
        let text = format!(
            "a {kind} hands packets on at once, so none wait in it: give it a rate (htb, tbf, cake), or shape the device \
             below"
        );
        out.push(Remark::new("device", text));
    }
    if duplex.as_deref() == Some("half") {
        out.push(
            Remark::new("duplex", "half duplex: what arrives takes from what can be sent, so no rate is sure")
                .remedy(format!("ethtool -s {name} autoneg on")),
        );
    }
    if let (Some(driver), Some(0)) = (driver, bql) {
        let text = format!(
            "the driver `{driver}` seems to keep no queue limit (BQL): its ring may hold milliseconds of packets behind \
             the discipline; a rate some percent below the link's keeps them in front"
        );
        out.push(Remark::new("bql", text));
    }
    if !seen {
        out.push(Remark::new("driver", "driver, speed and queue limits are not to be seen from outside its namespace"));
    } else if info.speed.is_none() && info.kind.is_none() && driver.is_some() {
        out.push(Remark::new("speed", "the driver knows no speed: percentages want `link: { rate: … }` in the policy"));
    }
    out
}

fn offloads(link: &LinkFacts, features: &[String], held: Option<&Interface>, clock: &Facts, out: &mut Vec<Remark>) {
    let info = &link.info;
    let segments = on(features, SEGMENTS);
    if !segments.is_empty() {
        let size = u64::from(info.gso_max_size.unwrap_or(65_536));
        let slow = Rate(10_000_000);
        let milliseconds = size * 8 * 1000 / slow.0;
        let mut text = format!(
            "{}: segments of up to {} reach the discipline in one piece, {milliseconds} ms of a rate of {}",
            segments.join(", "),
            Bytes(size).show(),
            slow.show()
        );
        let facts = info.facts(clock);
        if let Some((bucket, of)) = held.and_then(|held| smallest_bucket(held, &facts)).filter(|(b, _)| *b < size) {
            text.push_str(&format!(
                "; the smallest bucket held, {} of {of}, is smaller: htb lets a segment through on credit, tbf cuts it",
                Bytes(bucket).show()
            ));
        }
        out.push(Remark::new("offload", text).remedy(ethtool(&info.name, &segments)));
    }
    let merges = on(features, MERGES);
    let arrives = held.and_then(|i| i.ingress.as_ref()).is_some_and(|b| !b.objects.is_empty());
    if !merges.is_empty() && arrives {
        let text = format!(
            "{}: what arrives is put together before the ingress hook sees it, so policers and ifb devices count few \
             large packets",
            merges.join(", ")
        );
        out.push(Remark::new("offload", text).remedy(ethtool(&info.name, &merges)));
    }
}

/// What the scheduler's clock means for rates, and the timer's frequency if the kernel's configuration tells: sentences.
pub fn clock(clock: &Facts, installed: &Installed) -> Vec<String> {
    let mut said = vec![format!("sizes of buckets are counted in ticks of {} ns", clock.tick_ns)];
    if clock.hz >= 1_000_000 {
        said.push(
            "packets are released by timers of high resolution: a bucket of one packet holds any rate".to_owned(),
        );
    } else {
        let hz = clock.hz.max(1);
        let least = Rate(10_000_000).bytes() / hz;
        said.push(format!(
            "timers go by HZ={hz}: packets are released every {} ms, so a bucket must hold what passes in that time \
             ({} at 10mbit)",
            1000 / hz.min(1000),
            Bytes(least).show()
        ));
    }
    let hz = installed.config.as_ref().and_then(|config| config.get("HZ")).and_then(|hz| hz.parse::<u64>().ok());
    if let Some(hz) = hz.filter(|hz| (1..=1000).contains(hz)) {
        said.push(format!(
            "HZ={hz}: times that are counted in jiffies (hhf, sfb, sfq's perturb, estimators) come in steps of {} ms",
            1000 / hz
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::kind::qdisc::tbf;
    use crate::tree::{Branch, Id, Object};
    use crate::unit::Handle;

    fn link() -> LinkFacts {
        let info = LinkInfo {
            name: "eth0".into(),
            mtu: 1500,
            txqueuelen: 1000,
            up: true,
            queues: 1,
            gso_max_size: Some(65_536),
            speed: Some(Rate(1_000_000_000)),
            ..LinkInfo::default()
        };
        let (driver, duplex) = (Some("e1000e".to_owned()), Some("full".to_owned()));
        LinkFacts { info, driver, duplex, bql: Some(3000), features: Some(Vec::new()), seen: true }
    }

    fn about(link: &LinkFacts, held: Option<&Interface>) -> Vec<&'static str> {
        remarks(link, held, &Facts::default()).iter().map(|r| r.about).collect()
    }

    #[test]
    fn a_sound_link_is_not_remarked_on() {
        assert_eq!(about(&link(), None), [""; 0]);
    }

    #[test]
    fn each_odd_fact_has_its_remark_and_a_remedy_where_there_is_one() {
        let mut odd = link();
        odd.features = Some(vec!["tx-tcp-segmentation".into(), "tx-generic-segmentation".into(), "rx-gro".into()]);
        (odd.info.txqueuelen, odd.info.up, odd.duplex, odd.bql) = (0, false, Some("half".into()), Some(0));
        odd.info.speed = None;
        let found = remarks(&odd, None, &Facts::default());
        let said: Vec<_> = found.iter().map(|r| r.about).collect();
        assert_eq!(said, ["state", "offload", "txqueuelen", "duplex", "bql", "speed"]);
        assert_eq!(found[1].remedy.as_deref(), Some("ethtool -K eth0 tso off gso off"));
        assert_eq!(found[2].remedy.as_deref(), Some("ip link set dev eth0 txqueuelen 1000"));
        let mut bridge = link();
        (bridge.info.kind, bridge.driver, bridge.features) = (Some("bridge".into()), None, None);
        assert_eq!(about(&bridge, None), ["offload", "device"]);
    }

    #[test]
    fn segments_are_held_against_the_smallest_bucket() {
        let id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
        let tbf = tbf::Tbf { burst: Some(Bytes(5000)), ..tbf::Tbf::default() };
        let branch = Branch { objects: vec![Object::new(id, &tbf::KIND, Box::new(tbf))], ..Branch::default() };
        let held = Interface { egress: Some(branch), ..Interface::default() };
        let mut offloading = link();
        offloading.features = Some(vec!["tx-generic-segmentation".into()]);
        let found = remarks(&offloading, Some(&held), &Facts::default());
        assert!(found[0].text.contains("5000b of tbf 1:"), "{}", found[0].text);
        offloading.info.gso_max_size = Some(4000);
        assert!(!remarks(&offloading, Some(&held), &Facts::default())[0].text.contains("tbf"));
    }

    #[test]
    fn the_clock_is_explained() {
        let mut installed = Installed::default();
        let said = clock(&Facts::default(), &installed);
        assert!(said.len() == 2 && said[1].contains("high resolution"));
        let slow = clock(&Facts { hz: 250, ..Facts::default() }, &installed);
        installed.config = Some([("HZ".to_owned(), "250".to_owned())].into_iter().collect());
        assert!(clock(&Facts::default(), &installed)[2].contains("steps of 4 ms"));
        assert!(slow[1].contains("every 4 ms") && slow[1].contains("5000b"), "{}", slow[1]);
    }
}
