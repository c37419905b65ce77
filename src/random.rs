//! Chance, for jitter. Nothing secret depends on it.

use std::hash::{BuildHasher, RandomState};

use crate::clock;

/// 0..1. The process id is mixed in, because a forked child inherits the state of every generator.
pub fn unit() -> f64 {
    let bits = RandomState::new().hash_one((std::process::id(), clock::now().millis()));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
