//! The little of RFC 1035 that shows a chain of CNAMEs, which getaddrinfo does not tell. Pure.

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const HEADER: usize = 12;
/// More is a loop.
const MAX_CHAIN: usize = 16;
const MAX_JUMPS: usize = 64;

/// A recursive question for a name's addresses; None if the name cannot be asked for.
pub fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(HEADER + name.len() + 6);
    packet.extend(id.to_be_bytes());
    packet.extend([0x01, 0x00]); // recursion desired
    packet.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        packet.push(length);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(TYPE_A.to_be_bytes());
    packet.extend([0, 1]);
    (packet.len() <= 512).then_some(packet)
}

/// The names that `name` is an alias of, in order. None if this is no answer to that question.
pub fn aliases(packet: &[u8], id: u16, name: &str) -> Option<Vec<String>> {
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    if word(0)? != id || packet.get(2)? & 0x80 == 0 {
        return None;
    }
    let (questions, answers) = (word(4)?, word(6)?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = name_at(packet, at)?.1 + 4;
    }
    let mut links = Vec::new();
    for _ in 0..answers {
        let (owner, after) = name_at(packet, at)?;
        let (kind, length) = (word(after)?, usize::from(word(after + 8)?));
        let data = after + 10;
        if kind == TYPE_CNAME {
            links.push((owner, name_at(packet, data)?.0));
        }
        at = data + length;
    }
    let mut chain: Vec<String> = Vec::new();
    let mut current = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    while let Some((_, target)) = links.iter().find(|(owner, _)| *owner == current) {
        if chain.len() == MAX_CHAIN || chain.contains(target) {
            break;
        }
        current.clone_from(target);
        chain.push(target.clone());
    }
    Some(chain)
}

/// A name, in lower case and without the final dot, and where it ends.
fn name_at(packet: &[u8], start: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let (mut at, mut end) = (start, None);
    for _ in 0..MAX_JUMPS {
        let length = *packet.get(at)?;
        match length {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..=63 => {
                let label = packet.get(at + 1..at + 1 + usize::from(length))?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += 1 + usize::from(length);
            }
            0xC0.. => {
                end = end.or(Some(at + 2));
                at = usize::from(u16::from_be_bytes([length & 0x3F, *packet.get(at + 1)?]));
            }
            _ => return None,
        }
    }
    None
}

/// The first name server of a resolv.conf.
pub fn name_server(resolv_conf: &str) -> Option<std::net::IpAddr> {
    resolv_conf.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver")
            .then(|| words.next())??
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with the question's name compressed, one CNAME and one address.
    fn answer() -> Vec<u8> {
        let mut packet = question(7, "db.example.com").unwrap();
        packet[2] |= 0x80;
        packet[7] = 2;
        packet.extend([0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 9]);
        packet.extend(b"\x04real\x03RDS");
        let example = 15u8; // "example.com" inside the question
        let target = packet.len() - 9;
        // The CNAME's data is "real.RDS" + a pointer; its length covers the pointer.
        let length_at = target - 1;
        packet.extend([0xC0, example]);
        packet[length_at] = 11;
        packet.extend([0xC0, target as u8, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
        packet
    }

    #[test]
    fn chains() {
        let chain = aliases(&answer(), 7, "DB.example.com.").unwrap();
        assert_eq!(chain, ["real.rds.example.com"]);
        assert_eq!(aliases(&answer(), 7, "other.example.com").unwrap(), [""; 0]);
        assert_eq!(aliases(&answer(), 8, "db.example.com"), None);
        assert_eq!(
            aliases(&question(7, "db.example.com").unwrap(), 7, "db.example.com"),
            None
        );
    }

    #[test]
    fn damaged_answers_are_no_answers() {
        let whole = answer();
        for length in 0..whole.len() - 4 {
            let _ = aliases(&whole[..length], 7, "db.example.com");
        }
        let mut to_itself = whole.clone();
        to_itself[12] = 0xC0;
        to_itself[13] = 12;
        assert_eq!(aliases(&to_itself, 7, "db.example.com"), None);
    }

    #[test]
    fn names_that_cannot_be_asked_for() {
        for name in ["", "a..b", &"x".repeat(64)] {
            assert_eq!(question(1, name), None, "{name}");
        }
    }

    #[test]
    fn resolv_conf() {
        let text = "# comment\nsearch x\nnameserver  10.0.0.2\nnameserver 10.0.0.3\n";
        assert_eq!(name_server(text), Some("10.0.0.2".parse().unwrap()));
        assert_eq!(name_server("nameserver fe80::1%eth0"), None);
        assert_eq!(name_server(""), None);
    }
}
