//! TLS: what the server showed, and whether it verifies.

use rustls::CertificateError;
use rustls::RootCertStore;

use super::shown_span;
use crate::clock::Time;
use crate::doctor::advice::advise;
use crate::doctor::cause::Cause;
use crate::doctor::certificate::{self, Summary};
use crate::doctor::diagnosis::{Diagnosis, Stage, Status, Value};
use crate::doctor::observe::tls::{Seen, Trouble};
use crate::doctor::situation::Situation;

/// RDS and ACM renew far earlier than that.
const SOON: std::time::Duration = std::time::Duration::from_secs(14 * 86_400);

pub fn cause(trouble: &Trouble) -> Cause {
    match trouble {
        Trouble::NotOffered => Cause::TlsNotOffered,
        Trouble::Said(_) => Cause::TlsNotOffered,
        Trouble::ResetBefore => Cause::ResetBeforeTls,
        Trouble::NotPostgres => Cause::NotPostgres,
        Trouble::Silent => Cause::ServerSilent,
        Trouble::Closed => Cause::TlsClosed,
        Trouble::TimedOut => Cause::TlsTimedOut,
        Trouble::Other(_) => Cause::TlsFailed,
        Trouble::TrustFile(_) => Cause::TrustFileUnusable,
        Trouble::Certificate(error) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Cause::CertificateUnknownAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Cause::CertificateWrongHost
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::CertificateExpired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Cause::CertificateNotYetValid
            }
            _ => Cause::CertificateInvalid,
        },
    }
}

/// `direct`: whether the server also takes TLS without PostgreSQL's own question for it; None if not tried.
pub fn tls(
    seen: &Seen,
    result: Result<(), &Trouble>,
    roots: Option<&RootCertStore>,
    direct: Option<bool>,
    known: &Situation,
    now: Time,
) -> Diagnosis {
    let chain: Vec<Summary> = seen.chain.iter().filter_map(certificate::summary).collect();
    let leaf = chain.first();
    let authority = chain.last().map(|last| last.issuer.as_str());
    let generation = chain
        .iter()
        .rev()
        .find_map(|one| certificate::rds_generation(&one.issuer));
    let left = leaf.map(|leaf| now.until(leaf.not_after));
    let mut diagnosis = match result {
        Err(trouble) => failed(trouble, known),
        Ok(()) => match left.filter(|left| *left < SOON) {
            None => {
                let title = format!("{}, certificate verified", seen.version.unwrap_or("TLS"));
                Diagnosis::new(Stage::Tls, Status::Ok, "tls.ok", title)
            }
            Some(left) => {
                let title = format!("the server's certificate expires in {}", shown_span(left));
                let mut soon = Diagnosis::new(Stage::Tls, Status::Warning, "tls.expires_soon", title);
                soon.why = "From then on clients that verify refuse to connect.".to_owned();
                soon.fix =
                    "Rotate the certificate: on RDS the instance's certificate authority decides whether \
                            that happens by itself."
                        .to_owned();
                soon
            }
        },
    };
    if let Some(leaf) = leaf {
        diagnosis = diagnosis.saw(format!(
            "from {}{}, valid {} to {}",
            authority.unwrap_or("an unnamed authority"),
            generation.map_or(String::new(), |name| format!(" ({name})")),
            day(leaf.not_before),
            day(leaf.not_after),
        ));
        diagnosis = diagnosis.saw(format!("for {}", leaf.names.join(", ")));
    }
    if let Some(file) = &known.ca_file {
        diagnosis = diagnosis.saw(format!("trust file: {file}"));
    }
    if let Some(direct) = direct {
        diagnosis = diagnosis.saw(match direct {
            true => "direct TLS (sslnegotiation=direct) works as well",
            false => "no direct TLS (sslnegotiation=direct)",
        });
    }
    let trusted = chain.last().zip(roots).map(|(last, roots)| {
        roots
            .roots
            .iter()
            .any(|root| in_sequence(root.subject.as_ref()) == last.issuer_der)
    });
    diagnosis
        .fact("version", seen.version)
        .fact("cipher", seen.cipher.clone())
        .fact("chain", Value::List(chain.iter().map(table).collect()))
        .fact("authority", authority)
        .fact("authority_in_trust_file", trusted)
        .fact("rds_ca", generation)
        .fact("trust_file", known.ca_file.clone())
        .fact("direct_tls", direct)
}

fn failed(trouble: &Trouble, known: &Situation) -> Diagnosis {
    let diagnosis = advise(cause(trouble), known);
    match trouble {
        Trouble::Other(said) | Trouble::TrustFile(said) => diagnosis.saw(said.clone()),
        Trouble::Said(said) => diagnosis.saw(format!("the server says, in clear: {said}")),
        _ => diagnosis,
    }
}

fn table(one: &Summary) -> Value {
    Value::Table(vec![
        ("subject", one.subject.clone().into()),
        ("issuer", one.issuer.clone().into()),
        ("names", one.names.clone().into()),
        ("not_before", one.not_before.to_string().into()),
        ("not_after", one.not_after.to_string().into()),
    ])
}

fn day(time: Time) -> String {
    time.to_string().chars().take(10).collect()
}

/// rustls keeps a subject without the tag and length of its outermost SEQUENCE.
fn in_sequence(content: &[u8]) -> Vec<u8> {
    let mut der = vec![0x30];
    match content.len() {
        length @ 0..128 => der.push(length as u8),
        length @ 128..256 => der.extend([0x81, length as u8]),
        length => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles() {
        use CertificateError as Bad;
        for (trouble, cause_name) in [
            (Trouble::NotOffered, "tls.not_offered"),
            (Trouble::ResetBefore, "tls.reset"),
            (Trouble::NotPostgres, "tls.not_postgresql"),
            (Trouble::Silent, "tls.no_answer"),
            (Trouble::Closed, "tls.closed"),
            (Trouble::TimedOut, "tls.timed_out"),
            (Trouble::Other("x".to_owned()), "tls.failed"),
            (Trouble::TrustFile("x".to_owned()), "tls.trust_file"),
            (Trouble::Certificate(Bad::UnknownIssuer), "tls.unknown_authority"),
            (Trouble::Certificate(Bad::BadSignature), "tls.unknown_authority"),
            (Trouble::Certificate(Bad::NotValidForName), "tls.wrong_host"),
            (Trouble::Certificate(Bad::Expired), "tls.expired"),
            (Trouble::Certificate(Bad::NotValidYet), "tls.not_yet_valid"),
            (Trouble::Certificate(Bad::BadEncoding), "tls.invalid_certificate"),
        ] {
            assert_eq!(cause(&trouble).name(), cause_name);
        }
    }

    #[test]
    fn subjects_are_compared_whole() {
        assert_eq!(in_sequence(&[1, 2]), [0x30, 2, 1, 2]);
        assert_eq!(in_sequence(&[0; 200])[..3], [0x30, 0x81, 200]);
        assert_eq!(in_sequence(&[0; 300])[..4], [0x30, 0x82, 1, 44]);
    }
}
