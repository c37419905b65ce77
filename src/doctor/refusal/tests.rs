use super::*;

fn said(sqlstate: Option<&str>, message: &str, hint: Option<&str>) -> Refusal {
    Refusal {
        sqlstate: sqlstate.map(str::to_owned),
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

const PSYCOPG: &str = "connection failed: connection to server at \"10.0.0.1\", port 5432 failed: ";
const DENIED: &str = "unable to accept connection, access denied";

#[test]
fn servers() {
    let none = None;
    for (sqlstate, message, hint, kind, cause) in [
        (
            Some("28000"),
            "PAM authentication failed for user \"app\"",
            none,
            Kind::Rds,
            Cause::TokenRefused,
        ),
        (
            none,
            "FATAL:  PAM authentication failed for user \"app\"",
            none,
            Kind::Rds,
            Cause::TokenRefused,
        ),
        (
            Some("28P01"),
            "password authentication failed for user \"app\"",
            none,
            Kind::Rds,
            Cause::NotIamUser,
        ),
        (
            Some("28P01"),
            "la autentificación falló",
            none,
            Kind::Rds,
            Cause::NotIamUser,
        ),
        (
            Some("28000"),
            "role \"app\" does not exist",
            none,
            Kind::Rds,
            Cause::UserUnknown,
        ),
        (
            Some("28000"),
            "role \"app\" is not permitted to log in",
            none,
            Kind::Rds,
            Cause::UserMayNotLogIn,
        ),
        (
            Some("28000"),
            "no pg_hba.conf entry for host \"::1\", user \"a\", database \"b\", no encryption",
            none,
            Kind::Rds,
            Cause::NotEncrypted,
        ),
        (
            Some("28000"),
            "no pg_hba.conf entry for host \"::1\", user \"a\", database \"b\", SSL encryption",
            none,
            Kind::Rds,
            Cause::HbaRejects,
        ),
        (
            Some("3D000"),
            "database \"x\" does not exist",
            none,
            Kind::Rds,
            Cause::DatabaseMissing,
        ),
        (
            Some("42501"),
            "permission denied for database \"x\"",
            none,
            Kind::Rds,
            Cause::DatabaseForbidden,
        ),
        (
            Some("53300"),
            "sorry, too many clients already",
            none,
            Kind::Rds,
            Cause::TooManyConnections,
        ),
        (
            Some("53300"),
            "too many connections for role \"app\"",
            none,
            Kind::Rds,
            Cause::TooManyConnections,
        ),
        (
            Some("57P03"),
            "the database system is starting up",
            none,
            Kind::Rds,
            Cause::StartingUp,
        ),
        (
            Some("28000"),
            "The IAM authentication failed for the role app. Check the IAM token for this role and try again.",
            none,
            Kind::RdsProxy,
            Cause::TokenRefused,
        ),
        (
            Some("28000"),
            "IAM authentication failed for user app. Check the IAM token for this user and try again.",
            none,
            Kind::RdsProxy,
            Cause::TokenRefused,
        ),
        (
            none,
            "This RDS proxy has no credentials for the role app. Check the credentials for this role and try again.",
            none,
            Kind::RdsProxy,
            Cause::ProxySecretMissing,
        ),
        (
            none,
            "The password that was provided for the role app is wrong.",
            none,
            Kind::RdsProxy,
            Cause::ProxyIamOff,
        ),
        (
            none,
            "RDS supports only IAM or MD5 authentication.",
            none,
            Kind::RdsProxy,
            Cause::ProxySecretKind,
        ),
        (
            none,
            "The IAM authentication failed because of too many competing requests.",
            none,
            Kind::RdsProxy,
            Cause::ProxyBusy,
        ),
        (
            none,
            "Rate of connection to proxy exceeded 100.",
            none,
            Kind::RdsProxy,
            Cause::RateExceeded,
        ),
        (
            none,
            "The maximum number of client connections to the proxy exceeded 100.",
            none,
            Kind::RdsProxy,
            Cause::TooManyConnections,
        ),
        (
            none,
            "This RDS Proxy requires TLS connections.",
            none,
            Kind::RdsProxy,
            Cause::NotEncrypted,
        ),
        (
            none,
            "IAM authentication is allowed only with SSL connections.",
            none,
            Kind::RdsProxy,
            Cause::NotEncrypted,
        ),
        (
            none,
            "Timed-out waiting to acquire database connection.",
            none,
            Kind::RdsProxy,
            Cause::ProxyNoDatabase,
        ),
        (
            none,
            "Feature not supported: RDS Proxy currently doesn't support the option options.",
            none,
            Kind::RdsProxy,
            Cause::OptionUnsupported,
        ),
        (Some("08006"), DENIED, none, Kind::Dsql, Cause::TokenRefused),
        (
            Some("08006"),
            DENIED,
            Some("Signature expired: 20261120T000000Z is now earlier than 20261120T010000Z"),
            Kind::Dsql,
            Cause::SignatureExpired,
        ),
        (
            Some("08006"),
            DENIED,
            Some("Wrong user to action mapping. user: admin, action: DbConnect"),
            Kind::Dsql,
            Cause::ActionWrong,
        ),
        (
            Some("08006"),
            DENIED,
            Some(
                "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: dsql:DbConnect on resource: x",
            ),
            Kind::Dsql,
            Cause::PolicyMissing,
        ),
        (
            none,
            "unable to accept connection, access denied\nHINT:  The security token included in the request is expired",
            none,
            Kind::Dsql,
            Cause::LoginCredentialsExpired,
        ),
        (
            Some("08006"),
            DENIED,
            Some("The security token included in the request is invalid."),
            Kind::Dsql,
            Cause::LoginCredentialsRefused,
        ),
        (
            Some("08006"),
            "unable to accept connection, sni was not received",
            none,
            Kind::Dsql,
            Cause::ServerNameMissing,
        ),
        (
            Some("08006"),
            "unable to accept connection, waking up cluster, please retry later",
            none,
            Kind::Dsql,
            Cause::WakingUp,
        ),
        (
            Some("53400"),
            "Unable to accept connection, rate exceeded.",
            none,
            Kind::Dsql,
            Cause::RateExceeded,
        ),
        (
            none,
            "IAM authentication failed for user \"app\"",
            none,
            Kind::Dsql,
            Cause::RoleNotMapped,
        ),
    ] {
        let plain = said(sqlstate, message, hint);
        assert_eq!(meaning(&plain, Some(kind)), Some(cause), "{message} {hint:?}");
        let wrapped = said(
            None,
            &format!("{PSYCOPG}FATAL:  {message}\nHINT:  {}", hint.unwrap_or_default()),
            None,
        );
        if !message.contains("falló") {
            assert_eq!(
                meaning(&wrapped, Some(kind)),
                Some(cause),
                "wrapped: {message} {hint:?}"
            );
        }
    }
}

#[test]
fn drivers() {
    for (message, cause) in [
        (
            "SSL error: certificate verify failed",
            Cause::CertificateUnverified,
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
            Cause::CertificateExpired,
        ),
        (
            "certificate verify failed: Hostname mismatch, certificate is not valid for 'localhost'.",
            Cause::CertificateWrongHost,
        ),
        (
            "server certificate for \"a.example\" does not match host name \"localhost\"",
            Cause::CertificateWrongHost,
        ),
        (
            "certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)",
            Cause::CertificateUnknownAuthority,
        ),
        (
            "root certificate file \"/root/.postgresql/root.crt\" does not exist",
            Cause::TrustFileUnusable,
        ),
        (
            "server does not support SSL, but SSL was required",
            Cause::TlsNotOffered,
        ),
        (
            "PostgreSQL server at \"localhost:1\" rejected SSL upgrade",
            Cause::TlsNotOffered,
        ),
        (
            "could not translate host name \"x\" to address: Name or service not known",
            Cause::NameUnknown,
        ),
        ("[Errno -2] Name or service not known", Cause::NameUnknown),
        (
            "[Errno -3] Temporary failure in name resolution",
            Cause::NameServerSilent,
        ),
        (
            "Is the server running on that host and accepting TCP/IP connections?\nConnection refused",
            Cause::PortClosed,
        ),
        (
            "[Errno 111] Connect call failed ('127.0.0.1', 1)",
            Cause::PortClosed,
        ),
        ("connection timeout expired", Cause::PortFiltered),
        ("SSL SYSCALL error: EOF detected", Cause::LoginClosed),
        (
            "connection was closed in the middle of operation",
            Cause::LoginClosed,
        ),
        ("server closed the connection unexpectedly", Cause::LoginClosed),
    ] {
        assert_eq!(
            meaning(&said(None, message, None), None),
            Some(cause),
            "{message}"
        );
    }
}

#[test]
fn what_is_not_known_has_no_meaning() {
    for message in [
        "",
        "syntax error at or near \"SELEC\"",
        "relation \"x\" is missing",
    ] {
        assert_eq!(meaning(&said(None, message, None), None), None, "{message}");
    }
    assert_eq!(meaning(&said(Some("42601"), "syntax error", None), None), None);
}
