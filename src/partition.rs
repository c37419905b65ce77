//! AWS partitions: which regions and which host suffix each has. Pure.
//!
//! Facts: `partitions.json` and `endpoints.json` of botocore 1.44.

use crate::error::{Error, Result, shown};

#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    pub name: &'static str,
    /// What the names of its hosts end in.
    pub suffix: &'static str,
    /// What the names of its regions begin with.
    prefix: &'static str,
}

/// The commercial partition comes last: its regions have no prefix of their own.
static PARTITIONS: [Partition; 8] = [
    Partition {
        name: "aws-cn",
        suffix: "amazonaws.com.cn",
        prefix: "cn-",
    },
    Partition {
        name: "aws-us-gov",
        suffix: "amazonaws.com",
        prefix: "us-gov-",
    },
    Partition {
        name: "aws-iso",
        suffix: "c2s.ic.gov",
        prefix: "us-iso-",
    },
    Partition {
        name: "aws-iso-b",
        suffix: "sc2s.sgov.gov",
        prefix: "us-isob-",
    },
    Partition {
        name: "aws-iso-e",
        suffix: "cloud.adc-e.uk",
        prefix: "eu-isoe-",
    },
    Partition {
        name: "aws-iso-f",
        suffix: "csp.hci.ic.gov",
        prefix: "us-isof-",
    },
    Partition {
        name: "aws-eusc",
        suffix: "amazonaws.eu",
        prefix: "eusc-",
    },
    Partition {
        name: "aws",
        suffix: "amazonaws.com",
        prefix: "",
    },
];

pub fn of_region(region: &str) -> &'static Partition {
    let commercial = &PARTITIONS[PARTITIONS.len() - 1];
    PARTITIONS
        .iter()
        .find(|partition| region.starts_with(partition.prefix))
        .unwrap_or(commercial)
}

/// The partition whose suffix a lower-case host has, and the labels before it.
pub fn of_host(host: &str) -> Option<(&'static Partition, &str)> {
    PARTITIONS.iter().find_map(|partition| {
        let rest = host.strip_suffix(partition.suffix)?.strip_suffix('.')?;
        Some((partition, rest))
    })
}

/// `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`: words, then a number.
pub fn looks_like_region(region: &str) -> bool {
    let mut parts = region.split('-').peekable();
    let mut words = 0;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return words >= 2 && matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit());
        }
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_lowercase()) {
            return false;
        }
        words += 1;
    }
    false
}

pub fn check_region(region: &str) -> Result<()> {
    if region.len() <= 32 && looks_like_region(&region.to_ascii_lowercase()) {
        return Ok(());
    }
    let message = if region.is_empty() {
        "region is empty".to_owned()
    } else {
        format!("{} is no AWS region", shown(region))
    };
    Err(Error::endpoint(
        message,
        "Regions read like us-east-1 or eu-central-2.",
    ))
}
