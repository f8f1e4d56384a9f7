//! What a kernel has, and what a link does to shaping: a table for people, the same for machines.

use super::Paint;
use crate::diagnostic::visible;
use crate::doctor::{Finding, LinkFacts, Remark, Status};
use crate::unit::Unit;
use serde_json::{Value, json};
use std::fmt::Write;

/// All that is told.
pub struct Report<'a> {
    /// The kernel's release.
    pub release: &'a str,
    /// What its clock means.
    pub clock: &'a [String],
    /// The table.
    pub findings: &'a [Finding],
    /// The policy whose needs are marked, if one was looked at.
    pub policy: Option<&'a str>,
    /// The links, each with what is odd about it.
    pub links: &'a [(LinkFacts, Vec<Remark>)],
}

fn painted(paint: Paint, status: Status) -> String {
    let word = format!("{:<8}", status.word());
    match status {
        Status::Ok => paint.added(&word),
        Status::Missing => paint.removed(&word),
        Status::Unknown => paint.changed(&word),
    }
}

/// Facts of a link in one line.
fn card(link: &LinkFacts) -> String {
    let info = &link.info;
    let mut said = Vec::new();
    said.extend(info.kind.as_ref().map(ToString::to_string));
    said.extend(link.driver.as_ref().map(|driver| format!("driver {driver}")));
    said.extend(info.speed.map(|speed| speed.show()));
    said.extend(link.duplex.as_ref().map(|duplex| format!("{duplex} duplex")));
    said.push(format!("mtu {}", info.mtu));
    said.push(format!("txqueuelen {}", info.txqueuelen));
    said.push(if info.queues == 1 { "1 queue".to_owned() } else { format!("{} queues", info.queues) });
    said.extend(info.gso_max_size.map(|size| format!("gso_max_size {size}")));
    visible(&said.join(", "))
}

/// For people.
pub fn doctor_text(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", paint.name("kernel"), visible(report.release));
    for sentence in report.clock {
        let _ = writeln!(out, "  {}", paint.faint(sentence));
    }
    let width = report.findings.iter().map(|f| f.thing.name().len()).max().unwrap_or(0);
    let mut group = "";
    for finding in report.findings {
        let thing = finding.thing;
        if thing.group() != group {
            group = thing.group();
            let _ = writeln!(out, "{}", paint.name(&format!("{group}s")));
        }
        let mut note: Vec<&str> = Vec::new();
        note.extend(Some(thing.doc()).filter(|doc| !doc.is_empty()));
        note.extend(Some(finding.note.as_str()).filter(|note| !note.is_empty()));
        let needed = if finding.needed { "the policy needs it" } else { "" };
        note.extend(Some(needed).filter(|_| finding.needed && finding.status != Status::Ok));
        let line =
            format!("  {:<width$}  {}  {}", thing.name(), painted(paint, finding.status), visible(&note.join("; ")));
        let _ = writeln!(out, "{}", line.trim_end());
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(out, "  {:width$}            {}", "", paint.faint(&visible(remedy)));
        }
    }
    for (link, remarks) in report.links {
        let _ = writeln!(
            out,
            "{} {}  {}",
            paint.name("link"),
            paint.name(&visible(&link.info.name)),
            paint.faint(&card(link))
        );
        if remarks.is_empty() {
            let _ = writeln!(out, "  nothing odd");
        }
        for remark in remarks {
            let _ = writeln!(out, "  {}", visible(&remark.text));
            if let Some(remedy) = &remark.remedy {
                let _ = writeln!(out, "      {}", visible(remedy));
            }
        }
    }
    out
}

/// For machines.
pub fn doctor_json(report: &Report) -> Value {
    let findings = report.findings.iter().map(|f| {
        json!({
            "group": f.thing.group(), "name": f.thing.name(), "status": f.status.word(), "module": f.thing.module(),
            "config": f.thing.config().map(|symbol| format!("CONFIG_{symbol}")), "kernels": f.thing.kernels(),
            "note": f.note, "remedy": f.remedy, "needed": f.needed,
        })
    });
    let links = report.links.iter().map(|(link, remarks)| {
        let info = &link.info;
        let remarks = remarks.iter().map(|r| json!({"about": r.about, "text": r.text, "remedy": r.remedy}));
        json!({
            "name": info.name.as_str(), "kind": info.kind.as_deref(), "driver": link.driver, "duplex": link.duplex,
            "speed": info.speed.map(|rate| rate.0), "mtu": info.mtu, "txqueuelen": info.txqueuelen,
            "queues": info.queues, "gso_max_size": info.gso_max_size, "up": info.up, "features": link.features,
            "bql": link.bql, "remarks": remarks.collect::<Vec<_>>(),
        })
    });
    json!({
        "kernel": report.release,
        "clock": report.clock,
        "policy": report.policy,
        "things": findings.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
    })
}
