//! What a server's certificates say, for people to read. Trust is decided by rustls alone. Pure.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Time;

/// More names than that are cut: CDNs have hundreds.
const MAX_NAMES: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub subject: String,
    pub issuer: String,
    pub names: Vec<String>,
    pub not_before: Time,
    pub not_after: Time,
    /// As it stands in the certificate, to be compared with the names of trusted authorities.
    pub issuer_der: Vec<u8>,
}

pub fn summary(der: &CertificateDer<'_>) -> Option<Summary> {
    let certificate = Certificate::from_der(der).ok()?;
    let inner = certificate.tbs_certificate();
    let seconds = |time: x509_cert::time::Time| {
        Time::from_secs(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    };
    Some(Summary {
        subject: common_name(inner.subject()),
        issuer: common_name(inner.issuer()),
        names: alternative_names(&certificate),
        not_before: seconds(inner.validity().not_before),
        not_after: seconds(inner.validity().not_after),
        issuer_der: inner.issuer().to_der().ok()?,
    })
}

fn alternative_names(certificate: &Certificate) -> Vec<String> {
    let inner = certificate.tbs_certificate();
    let Ok(Some((_, SubjectAltName(names)))) = inner.get_extension::<SubjectAltName>() else {
        return Vec::new();
    };
    let shown = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(visible(name.as_str())),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes().len() {
            4 => <[u8; 4]>::try_from(bytes.as_bytes())
                .ok()
                .map(|four| std::net::Ipv4Addr::from(four).to_string()),
            16 => <[u8; 16]>::try_from(bytes.as_bytes())
                .ok()
                .map(|all| std::net::Ipv6Addr::from(all).to_string()),
            _ => None,
        },
        _ => None,
    };
    names.iter().filter_map(shown).take(MAX_NAMES).collect()
}

/// The common name, or the whole name where it has none.
fn common_name(name: &Name) -> String {
    let whole = name.to_string();
    let part = whole
        .split(',')
        .find_map(|part| part.trim_start().strip_prefix("CN="))
        .unwrap_or(&whole);
    visible(part)
}

fn visible(text: &str) -> String {
    crate::error::shown(text)
}

/// The identifier that RDS gives the authority whose common name this is.
/// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
pub fn rds_generation(authority: &str) -> Option<&'static str> {
    let rest = authority.strip_prefix("Amazon RDS ")?;
    [
        ("Root CA RSA2048 G1", "rds-ca-rsa2048-g1"),
        ("Root CA RSA4096 G1", "rds-ca-rsa4096-g1"),
        ("Root CA ECC384 G1", "rds-ca-ecc384-g1"),
        ("Subordinate CA RSA2048 G1", "rds-ca-rsa2048-g1"),
        ("Subordinate CA RSA4096 G1", "rds-ca-rsa4096-g1"),
        ("Subordinate CA ECC384 G1", "rds-ca-ecc384-g1"),
        ("2019 CA", "rds-ca-2019"),
        ("Root 2019 CA", "rds-ca-2019"),
    ]
    .iter()
    .find(|(end, _)| rest.contains(end))
    .map(|(_, identifier)| *identifier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;

    fn shipped() -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(include_bytes!("../../python/pgiam/data/trust.pem"))
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn every_certificate_of_the_trust_file_can_be_read() {
        let summaries: Vec<Summary> = shipped().iter().map(|der| summary(der).unwrap()).collect();
        let begun = include_str!("../../python/pgiam/data/trust.pem")
            .matches("-----BEGIN")
            .count();
        assert_eq!(summaries.len(), begun);
        let virginia = summaries
            .iter()
            .find(|summary| summary.subject == "Amazon RDS us-east-1 Root CA RSA2048 G1")
            .unwrap();
        assert_eq!(virginia.issuer, virginia.subject);
        assert_eq!(virginia.not_after.to_string(), "2061-05-25T23:34:57Z");
        assert_eq!(rds_generation(&virginia.subject), Some("rds-ca-rsa2048-g1"));
    }

    #[test]
    fn generations() {
        for (name, generation) in [
            ("Amazon RDS eu-west-1 Root CA ECC384 G1", Some("rds-ca-ecc384-g1")),
            ("Amazon RDS eu-west-1 2019 CA", Some("rds-ca-2019")),
            ("Amazon Root CA 1", None),
            ("pgiam sandbox", None),
        ] {
            assert_eq!(rds_generation(name), generation);
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_summary() {
        for bytes in [&b""[..], b"0", b"\x30\x03\x02\x01\x01"] {
            assert_eq!(summary(&CertificateDer::from(bytes)), None);
        }
    }
}
