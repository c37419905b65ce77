//! Logins that fail for reasons of the server's own.

use super::{Advice, Situation};
use crate::doctor::cause::Cause;
use crate::doctor::situation::quoted;

pub fn advice(cause: Cause, known: &Situation) -> Advice {
    let user = known.user();
    let database = known.database.as_deref().unwrap_or("<database>");
    match cause {
        Cause::ServerNameMissing => Advice::new(
            "the server was not told its name in the TLS handshake (SNI)",
            "Aurora DSQL finds the cluster by SNI, and clients send none for an IP address.",
            "Connect by the cluster's host name; libpq needs version 14 or later for SNI.",
        ),
        Cause::ClusterUnknown => Advice::new(
            "no such Aurora DSQL cluster",
            "The cluster id in the host name is unknown in this region, or the cluster was deleted.",
            "Copy the endpoint from the console once more.",
        ),
        Cause::ProxySecretMissing => Advice::new(
            format!("the RDS Proxy has no secret for {user}"),
            "The proxy lets clients in by IAM and logs in to the database with the password in a secret.",
            format!(
                "Store user name and password of {user} in Secrets Manager, associate the secret with the \
                 proxy, and let the proxy's role read it; or use end-to-end IAM authentication."
            ),
        ),
        Cause::ProxyIamOff => Advice::new(
            "the RDS Proxy takes the auth token for a password",
            "IAM authentication is not required for this user on the proxy.",
            "Set IAMAuth=REQUIRED for the user's secret in the proxy's authentication settings.",
        ),
        Cause::ProxySecretKind => Advice::new(
            "the RDS Proxy does not accept this way to authenticate",
            "The client's authentication type on the proxy does not fit IAM.",
            "Set the proxy's authentication to IAM for this user.",
        ),
        Cause::ProxyBusy => Advice::new(
            "the RDS Proxy gave up: too many logins at once",
            "It checks a limited number of auth tokens at the same time.",
            "Try again with back-off and jitter; open fewer connections at once and keep them in a pool.",
        ),
        Cause::ProxyNoDatabase => Advice::new(
            "the RDS Proxy has no database connection to spare",
            "It let the client in and waited in vain for a connection to the database.",
            "Look at the proxy's target health and DatabaseConnections; raise MaxConnectionsPercent, or end \
             transactions sooner.",
        ),
        Cause::OptionUnsupported => Advice::new(
            "the server does not support a start-up option",
            "RDS Proxy and Aurora DSQL accept few parameters at connect, and refuse the others.",
            "Leave options= (PGOPTIONS) and other start-up parameters out of the connection settings.",
        ),
        Cause::TooManyConnections => Advice::new(
            "the server has no connection left",
            "The login as such was not refused: all slots are in use.",
            "Close idle connections, use smaller pools or RDS Proxy; raise max_connections or take a larger \
             instance. Aurora DSQL allows 10,000 per cluster.",
        ),
        Cause::RateExceeded => Advice::new(
            "too many new connections per second",
            "The server limits how fast connections may be opened; existing ones are not affected.",
            "Keep connections in a pool, and connect again with back-off and jitter.",
        ),
        Cause::WakingUp => Advice::new(
            "the cluster is waking up",
            "It was scaled to zero. This takes seconds, and is no error in the settings.",
            "Try again in a few seconds; let clients retry SQLSTATE 08006 with this text.",
        ),
        Cause::StartingUp => Advice::new(
            "the database is starting up or shutting down",
            "It is there, but does not take logins at the moment: a restart, a fail-over, a recovery.",
            "Try again in a few seconds; look at the instance's events if it lasts.",
        ),
        Cause::NotEncrypted => Advice::new(
            "the server demands TLS",
            "The client connected in clear, or TLS ended before the server.",
            "Connect with sslmode=verify-full; pgiam sets it where nothing else is said.",
        ),
        Cause::HbaRejects => Advice::new(
            format!("the server has no rule that lets {user} in from here"),
            "Its pg_hba.conf rejects this combination of user, database and client address.",
            "On RDS this means a user or database that is reserved; elsewhere add a rule for it.",
        ),
        Cause::DatabaseMissing => Advice::new(
            format!("the database {database} does not exist"),
            "The user was let in, so the auth token and the policy are right.",
            "Correct the database's name (--database, PGDATABASE, the end of the URL); Aurora DSQL has only \
             postgres.",
        ),
        Cause::DatabaseForbidden => Advice::new(
            format!("{user} may not connect to the database {database}"),
            "The user was let in, so the auth token and the policy are right.",
            "As the owner of the database:",
        )
        .copy(
            "SQL",
            format!(
                "GRANT CONNECT ON DATABASE {} TO {};",
                quoted(database),
                quoted(user)
            ),
        ),
        Cause::LoginClosed => Advice::new(
            "the connection broke during the login",
            "The server, or something before it, hung up without an error message: a fail-over, a restart, an \
             idle limit, or a firewall.",
            "Try again; look at the instance's events and the database's log at this time.",
        ),
        Cause::LoginTimedOut => Advice::new(
            "the server did not finish the login in time",
            "It asked for the auth token and then was silent: overloaded, or its IAM checks are slow.",
            "Try again with a longer --timeout; look at the database's CPU and memory.",
        ),
        Cause::SessionFailed => Advice::new(
            "the session ended at once",
            "The login succeeded, and the first query did not.",
            "Look at the database's log at this time.",
        ),
        _ => Advice::new(
            "the login failed",
            "The server's own words are above; they are none that pgiam knows.",
            "Look at the database's log at this time.",
        ),
    }
}
