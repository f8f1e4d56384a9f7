//! What the fuzz targets and the bounded runs of the tests feed: functions from any bytes, which must neither panic nor
//! hang, and what must hold whatever the bytes are.

use crate::facts::Facts;
use crate::netlink::{self, Machine};
use crate::plan::Verb;

/// A dump of qdiscs, classes and filters, or of links: no message is lost, and what was understood can be sent.
///
/// # Panics
/// The number of objects is not the number of messages.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_dump(bytes: &[u8]) {
    let mut machine = Machine::default();
    if let Ok(links) = netlink::decode_links(bytes) {
        machine.links = links;
    }
    if let Ok(records) = netlink::decode(bytes, &machine) {
        let messages = netlink::messages(bytes).flatten().filter(|m| m.kind >= netlink::RTM_NEWLINK).count();
        assert_eq!(records.len(), messages, "objects are lost");
        let _parents = netlink::filter_parents(&records);
        for record in &records {
            for verb in [Verb::Add, Verb::Change, Verb::Replace, Verb::Delete] {
                let message = netlink::encode(&record.object, verb, record.ifindex, &Facts::default());
                let _names = netlink::reply::actions_in(&message.body);
                let _path = netlink::reply::attribute_at(&message.body, u32::try_from(bytes.len()).unwrap_or(0));
            }
        }
        let _tree = netlink::tree(records, &machine);
    }
    for message in netlink::messages(bytes).flatten() {
        let _reply = netlink::reply::Reply::read(&message, message.sequence & 1 == 0);
    }
}
