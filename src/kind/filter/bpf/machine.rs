//! The machine that runs classic BPF (net/core/filter.c, Documentation/networking/filter.rst), over a packet as a
//! classifier has it: offsets count from the link header.

use super::Instruction;
use crate::packet::{Octet, Packet};

// include/uapi/linux/bpf_common.h, filter.h
const MEMORY: usize = 16;
const SPECIAL: u32 = 0xffff_f000;
const NETWORK: u32 = 0xfff0_0000;
const LINK: u32 = 0xffe0_0000;

/// What a program returns; `Err` with what it looks at that a packet does not show. What it reads beyond the packet's end
/// ends it with 0, as does a division by 0.
pub fn run(program: &[Instruction], packet: &Packet) -> Result<u32, &'static str> {
    run_to_end(program, packet).map(|(result, _)| result)
}

/// The same, and the number of the last instruction.
pub fn run_to_end(program: &[Instruction], packet: &Packet) -> Result<(u32, usize), &'static str> {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; MEMORY], 0_usize);
    // jumps go forward only
    while let Some(&Instruction { code, jt, jf, k }) = program.get(at) {
        at += 1;
        let size = match code & 0x18 {
            0x08 => 2,
            0x10 => 1,
            _ => 4,
        };
        let cell = |memory: &[u32; MEMORY]| memory.get(k as usize).copied().unwrap_or(0);
        match (code & 7, code & 0xe0) {
            // ld, ldx
            (0 | 1, mode) => {
                let value = match mode {
                    0x00 => Some(k),
                    0x20 | 0x40 => {
                        let k = if mode == 0x40 { x.wrapping_add(k) } else { k };
                        load(packet, k, size, a, x)?
                    }
                    0x60 => Some(cell(&memory)),
                    0x80 => Some(packet.length() as u32),
                    // four times the lower half of an octet: the length of an IPv4 header
                    _ => load(packet, k, 1, a, x)?.map(|n| 4 * (n & 15)),
                };
                let Some(value) = value else { return Ok((0, at - 1)) };
                *(if code & 7 == 0 { &mut a } else { &mut x }) = value;
            }
            // st, stx
            (kind @ (2 | 3), _) => {
                if let Some(cell) = memory.get_mut(k as usize) {
                    *cell = if kind == 2 { a } else { x };
                }
            }
            // alu
            (4, _) => {
                let with = if code & 8 == 0 { k } else { x };
                a = match code & 0xf0 {
                    0x00 => a.wrapping_add(with),
                    0x10 => a.wrapping_sub(with),
                    0x20 => a.wrapping_mul(with),
                    0x30 | 0x90 if with == 0 => return Ok((0, at - 1)),
                    0x30 => a / with,
                    0x40 => a | with,
                    0x50 => a & with,
                    0x60 => a.wrapping_shl(with),
                    0x70 => a.wrapping_shr(with),
                    0x80 => a.wrapping_neg(),
                    0x90 => a % with,
                    _ => a ^ with,
                };
            }
            // jmp
            (5, _) => {
                let with = if code & 8 == 0 { k } else { x };
                let holds = match code & 0xf0 {
                    0x00 => {
                        at += k as usize;
                        continue;
                    }
                    0x10 => a == with,
                    0x20 => a > with,
                    0x30 => a >= with,
                    _ => a & with != 0,
                };
                at += usize::from(if holds { jt } else { jf });
            }
            // ret
            (6, _) => return Ok((if code & 0x18 == 0x10 { a } else { k }, at - 1)),
            // tax, txa
            (_, _) if code & 0x80 == 0 => x = a,
            _ => a = x,
        }
    }
    Ok((0, program.len()))
}

/// A number of the packet, or of what the kernel remembers of it. `Ok(None)` beyond its end.
fn load(packet: &Packet, k: u32, size: usize, a: u32, x: u32) -> Result<Option<u32>, &'static str> {
    let octets = match k {
        SPECIAL.. => return special(packet, k - SPECIAL, a, x),
        NETWORK.. => packet.octets(i64::from(k - NETWORK), size),
        LINK.. => packet.link_octets(i64::from(k - LINK), size),
        k => packet.link_octets(i64::from(k), size),
    };
    match octets.number() {
        Octet::Is(n) => Ok(Some(n)),
        Octet::Beyond => Ok(None),
        Octet::Cut => Err("what the capture has cut off"),
    }
}

/// `SKF_AD_*`.
fn special(packet: &Packet, what: u32, a: u32, x: u32) -> Result<Option<u32>, &'static str> {
    Ok(Some(match what {
        0 => u32::from(packet.ether_type()),
        4 => return Err("for whom the packet is taken to be"),
        8 => return Err("the number of the link"),
        20 => packet.meta.mark,
        24 => u32::from(packet.meta.queue.unwrap_or(0)),
        32 => return Err("the packet's hash"),
        36 => return Err("the processor"),
        40 => a ^ x,
        44 => packet.tag().map_or(0, |t| u32::from(t.priority) << 13 | u32::from(t.id)),
        48 => u32::from(packet.tag().is_some()),
        52 => packet.layers().transport.map_or(0, |at| (packet.network() + at) as u32),
        56 => return Err("chance"),
        60 => packet.tag().map_or(0, |t| u32::from(t.protocol)),
        _ => return Err("what this machine does not know"),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kind::filter::bpf::Bytecode;
    use crate::packet::build::Fields;
    use crate::unit::{Reader, Unit};

    /// `tcp dst port 22` of IPv4, as tcpdump makes it: protocol, no later fragment, the length of the header, the port.
    #[test]
    fn a_program_of_tcpdumps_chooses() {
        let text = "10,40 0 0 12,21 0 7 2048,48 0 0 23,21 0 5 6,40 0 0 20,69 3 0 8191,177 0 0 14,72 0 0 16,\
                    21 1 0 22,6 0 0 0";
        let mut program = Bytecode::read(text, &mut Reader::tc()).unwrap();
        program.0.push(Instruction { code: 6, jt: 0, jf: 0, k: 262_144 });
        let ssh = Fields { proto: 6, ports: (9, 22), ..Fields::default() };
        assert_eq!(run(&program.0, &ssh.packet()), Ok(262_144));
        assert_eq!(run(&program.0, &Fields { options: 4, ..ssh.clone() }.packet()), Ok(262_144));
        for other in [
            Fields { proto: 17, ..ssh.clone() },
            Fields { ports: (22, 9), ..ssh.clone() },
            Fields { fragment: (8, true), ..ssh.clone() },
            Fields { ether_type: crate::packet::ARP, ..ssh },
        ] {
            assert_eq!(run(&program.0, &other.packet()), Ok(0), "{other:?}");
        }
    }

    #[test]
    fn what_is_beyond_the_packet_ends_with_nothing() {
        let run_text = |text: &str, packet: &Packet| {
            let program = Bytecode::read(text, &mut Reader::tc()).unwrap();
            run(&program.0, packet)
        };
        let packet = Fields::default().packet();
        assert_eq!(run_text("2,32 0 0 4000,6 0 0 1", &packet), Ok(0));
        // SKF_NET_OFF: the IP header's first octet; SKF_AD_MARK; the length; the header's length
        assert_eq!(run_text("2,48 0 0 4293918720,22 0 0 0", &packet), Ok(0x45));
        let mut marked = packet.clone();
        marked.meta.mark = 9;
        assert_eq!(run_text("2,32 0 0 4294963220,22 0 0 0", &marked), Ok(9));
        assert_eq!(run_text("2,128 0 0 0,22 0 0 0", &packet), Ok(packet.length() as u32));
        assert_eq!(run_text("3,177 0 0 14,135 0 0 0,22 0 0 0", &packet), Ok(20));
        assert_eq!(run_text("2,52 0 0 0,6 0 0 1", &packet), Ok(0), "a division by 0");
        assert!(run_text("2,32 0 0 4294963256,6 0 0 1", &packet).is_err(), "chance");
    }
}
