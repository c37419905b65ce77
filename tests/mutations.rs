//! Inputs made from good ones, changed in a few places: a value or a typed error, and never a panic. The same for
//! the same seed; `MUTATIONS=1000000 SEED=7 cargo test --release --test mutations` looks further than CI does.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

#[path = "hardening/checks.rs"]
mod checks;

const PIECES: [&[u8]; 14] = [
    b"\0",
    b"\xff",
    b"%",
    b"..",
    b":",
    b"@",
    b"/?",
    b"&",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\\u0000",
    b"[[[[[[[[",
    b"1e999",
    b"rds.amazonaws.com",
];

struct Chance(u64);

impl Chance {
    /// xorshift64*
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
    })
}

fn each_mutation(corpus: &str, mut check: impl FnMut(&[u8])) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hardening/corpus")
        .join(corpus);
    let lines: Vec<Vec<u8>> = fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| line.into())
        .collect();
    assert!(lines.len() > 5);
    for line in &lines {
        check(line);
    }
    let mut chance = Chance(number("SEED", 0x9E37_79B9_7F4A_7C15));
    for _ in 0..number("MUTATIONS", 20_000) {
        let mut input = lines[chance.below(lines.len())].clone();
        for _ in 0..=chance.below(5) {
            change(&mut input, &lines, &mut chance);
        }
        check(&input);
    }
}

fn change(input: &mut Vec<u8>, lines: &[Vec<u8>], chance: &mut Chance) {
    let start = chance.below(input.len() + 1);
    let end = (start + [1, 2, 8, 40][chance.below(4)]).min(input.len());
    match chance.below(6) {
        0 => drop(input.drain(start..end)),
        1 => drop(input.splice(start..start, PIECES[chance.below(PIECES.len())].iter().copied())),
        2 => drop(input.splice(start..end, PIECES[chance.below(PIECES.len())].iter().copied())),
        3 => {
            let again = input[start..end].repeat([1, 2, 50][chance.below(3)]);
            drop(input.splice(start..start, again));
        }
        4 => {
            let other = &lines[chance.below(lines.len())];
            let from = chance.below(other.len() + 1);
            let to = (from + [4, 16, 200][chance.below(3)]).min(other.len());
            drop(input.splice(start..end, other[from..to].iter().copied()));
        }
        _ => {
            if let Some(byte) = input.get_mut(start) {
                *byte ^= 1 << chance.below(8);
            }
        }
    }
}

#[test]
fn a_host_is_an_endpoint_or_a_typed_error() {
    let (mut read, mut refused) = (0, 0);
    each_mutation("endpoint/hosts.txt", |input| {
        let is_endpoint = checks::host(input);
        read += usize::from(is_endpoint);
        refused += usize::from(!is_endpoint);
    });
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

#[test]
fn claims_are_read_or_a_typed_error() {
    let (mut read, mut refused) = (0, 0);
    each_mutation("claims/claims.txt", |claims| {
        let count = checks::claims(claims);
        read += count;
        refused += 3 - count;
    });
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}
