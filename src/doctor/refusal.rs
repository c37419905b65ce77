//! What a server's error, or a driver's, means. Pure: the one table of such texts.
//!
//! Authorities: PostgreSQL's auth.c, hba.c, postinit.c; AWS, "Troubleshooting for RDS Proxy" and
//! "Troubleshooting issues in Aurora DSQL"; the texts of libpq, asyncpg, pg8000 and OpenSSL.

use super::cause::Cause;
use crate::endpoint::Kind;

/// An error as a driver hands it on. psycopg gives no SQLSTATE for a failed login, and the hint in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub sqlstate: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

/// Parts of the server's text, all of which must be there; the first row that fits decides.
const SERVER: &[(&[&str], Cause)] = &[
    // Aurora DSQL says in the hint what was wrong.
    (&["access denied", "signature expired"], Cause::SignatureExpired),
    (
        &["access denied", "signature not yet current"],
        Cause::SignatureNotYetValid,
    ),
    (&["access denied", "user to action mapping"], Cause::ActionWrong),
    (
        &["access denied", "is not authorized to perform"],
        Cause::PolicyMissing,
    ),
    (
        &["access denied", "token included in the request is expired"],
        Cause::LoginCredentialsExpired,
    ),
    (
        &["access denied", "token included in the request is invalid"],
        Cause::LoginCredentialsRefused,
    ),
    (
        &["access denied", "signature we calculated does not match"],
        Cause::SignatureWrong,
    ),
    (&["access denied", "cluster was not found"], Cause::ClusterUnknown),
    (&["access denied", "signed for host"], Cause::SignedWrongHost),
    (&["access denied", "signed for region"], Cause::SignedWrongRegion),
    (&["sni was not received"], Cause::ServerNameMissing),
    (&["waking up cluster"], Cause::WakingUp),
    (
        &["unable to accept connection", "too many open connections"],
        Cause::TooManyConnections,
    ),
    (&["rate exceeded"], Cause::RateExceeded),
    // RDS Proxy.
    (&["too many competing requests"], Cause::ProxyBusy),
    (&["has no credentials for the role"], Cause::ProxySecretMissing),
    (&["password that was provided for the role"], Cause::ProxyIamOff),
    (&["supports only iam", "authentication"], Cause::ProxySecretKind),
    (
        &["timed-out waiting to acquire database connection"],
        Cause::ProxyNoDatabase,
    ),
    (&["rate of connection to proxy exceeded"], Cause::RateExceeded),
    (
        &["maximum number of client connections"],
        Cause::TooManyConnections,
    ),
    (&["allowed only with ssl"], Cause::NotEncrypted),
    (&["requires tls connections"], Cause::NotEncrypted),
    (&["doesn't support the option"], Cause::OptionUnsupported),
    (&["iam authentication failed for the role"], Cause::TokenRefused),
    // PostgreSQL itself.
    (&["pam authentication failed"], Cause::TokenRefused),
    (&["no pg_hba.conf entry", "no encryption"], Cause::NotEncrypted),
    (&["no pg_hba.conf entry", "ssl off"], Cause::NotEncrypted),
    (&["pg_hba.conf"], Cause::HbaRejects),
    (&["is not permitted to log in"], Cause::UserMayNotLogIn),
    (&["password authentication failed"], Cause::NotIamUser),
    (&["permission denied for database"], Cause::DatabaseForbidden),
    (&["database ", " does not exist"], Cause::DatabaseMissing),
    (&["role ", " does not exist"], Cause::UserUnknown),
    (&["too many clients"], Cause::TooManyConnections),
    (&["too many connections"], Cause::TooManyConnections),
    (
        &["remaining connection slots are reserved"],
        Cause::TooManyConnections,
    ),
    (&["the database system is"], Cause::StartingUp),
    (
        &["unrecognized configuration parameter"],
        Cause::OptionUnsupported,
    ),
    (&["unsupported startup parameter"], Cause::OptionUnsupported),
];

/// By SQLSTATE, where the text says nothing that is known: it may be in any language.
const CODES: &[(&str, Cause)] = &[
    ("28P01", Cause::NotIamUser),
    ("28000", Cause::TokenRefused),
    ("3D000", Cause::DatabaseMissing),
    ("42501", Cause::DatabaseForbidden),
    ("53300", Cause::TooManyConnections),
    ("53400", Cause::RateExceeded),
    ("57P03", Cause::StartingUp),
    ("42704", Cause::OptionUnsupported),
    ("0A000", Cause::OptionUnsupported),
];

/// What drivers say of the way to the server. Below the server's own texts, which they quote.
const WAY: &[(&[&str], Cause)] = &[
    (&["certificate has expired"], Cause::CertificateExpired),
    (&["certificate is not yet valid"], Cause::CertificateNotYetValid),
    (&["hostname mismatch"], Cause::CertificateWrongHost),
    (&["ip address mismatch"], Cause::CertificateWrongHost),
    (
        &["server certificate for", "does not match host name"],
        Cause::CertificateWrongHost,
    ),
    (
        &["server certificate for", "does not match"],
        Cause::CertificateWrongHost,
    ),
    (
        &["root certificate file", "does not exist"],
        Cause::TrustFileUnusable,
    ),
    (
        &["could not read root certificate file"],
        Cause::TrustFileUnusable,
    ),
    (&["could not load root certificate"], Cause::TrustFileUnusable),
    (&["self-signed certificate"], Cause::CertificateUnknownAuthority),
    (&["self signed certificate"], Cause::CertificateUnknownAuthority),
    (
        &["unable to get local issuer"],
        Cause::CertificateUnknownAuthority,
    ),
    (&["unable to get issuer"], Cause::CertificateUnknownAuthority),
    (&["certificate verify failed"], Cause::CertificateUnverified),
    (&["server does not support ssl"], Cause::TlsNotOffered),
    (&["server refuses ssl"], Cause::TlsNotOffered),
    (&["rejected ssl upgrade"], Cause::TlsNotOffered),
    (&["could not translate host name"], Cause::NameUnknown),
    (&["failed to resolve host"], Cause::NameUnknown),
    (&["name or service not known"], Cause::NameUnknown),
    (&["nodename nor servname"], Cause::NameUnknown),
    (&["getaddrinfo failed"], Cause::NameUnknown),
    (&["no address associated with"], Cause::NameUnknown),
    (&["temporary failure in name resolution"], Cause::NameServerSilent),
    (&["connection refused"], Cause::PortClosed),
    (&["connect call failed", "errno 111"], Cause::PortClosed),
    (&["no route to host"], Cause::HostUnreachable),
    (&["network is unreachable"], Cause::HostUnreachable),
    (&["timeout expired"], Cause::PortFiltered),
    (&["connection timed out"], Cause::PortFiltered),
    (&["connection timeout"], Cause::PortFiltered),
    (&["timed out"], Cause::PortFiltered),
    (&["connection reset by peer"], Cause::LoginClosed),
    (&["server closed the connection"], Cause::LoginClosed),
    (&["connection was closed in the middle"], Cause::LoginClosed),
    (&["unexpected connection_lost"], Cause::LoginClosed),
    (&["eof detected"], Cause::LoginClosed),
    (&["network error"], Cause::LoginClosed),
];

/// Enough to choose a row: nobody writes long errors, and some quote what they were given.
const LONGEST: usize = 8192;

pub fn meaning(refusal: &Refusal, kind: Option<Kind>) -> Option<Cause> {
    let mut text: String = refusal.message.chars().take(LONGEST).collect();
    if let Some(hint) = &refusal.hint {
        text.push('\n');
        text.extend(hint.chars().take(LONGEST));
    }
    let text = text.to_lowercase();
    if text.contains("iam authentication failed for user") {
        // DSQL and RDS Proxy share these words.
        return Some(match kind {
            Some(Kind::Dsql) => Cause::RoleNotMapped,
            _ => Cause::TokenRefused,
        });
    }
    let found = |table: &[(&[&str], Cause)]| {
        let row = table
            .iter()
            .find(|(parts, _)| parts.iter().all(|part| text.contains(part)));
        row.map(|(_, cause)| *cause)
    };
    let by_code = || {
        let code = refusal.sqlstate.as_deref()?;
        CODES
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, cause)| *cause)
    };
    let denied = || text.contains("access denied").then_some(Cause::TokenRefused);
    found(SERVER)
        .or_else(denied)
        .or_else(by_code)
        .or_else(|| found(WAY))
}

#[cfg(test)]
mod tests;
