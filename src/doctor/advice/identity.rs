//! Credentials, the clock, the endpoint, the auth token.

use super::{Advice, Situation};
use crate::doctor::cause::Cause;

pub fn advice(cause: Cause, known: &Situation) -> Advice {
    match cause {
        Cause::CredentialsMissing => Advice::new(
            "no AWS credentials were found",
            "Without credentials nothing can be signed, and the auth token is a signature.",
            "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, give this machine or job a role, or pass --profile.",
        ),
        Cause::CredentialsSourceFailed => Advice::new(
            "the source of the AWS credentials failed",
            "pgiam never falls back to another identity when the one that belongs here fails.",
            "Repair the source that is named above.",
        ),
        Cause::ExchangeRefused => Advice::new(
            "AWS STS refused to hand out credentials",
            "The role's trust policy, or the identity token, does not fit.",
            "Compare the claims with the trust policy of the role.",
        ),
        Cause::CredentialsTimedOut => Advice::new(
            "no AWS credentials in time",
            "The source that applies here does not answer: a metadata service, STS or a program.",
            "Check this machine's way to that source, or give the doctor a longer --timeout.",
        ),
        Cause::CredentialsExpired => Advice::new(
            "the AWS credentials have expired",
            "The database refuses an auth token that expired credentials signed, however new the token is.",
            "Get new ones: `aws sso login`, a new session, or a source that renews them by itself.",
        ),
        Cause::CredentialsRefused => Advice::new(
            "AWS does not accept these credentials",
            "STS does not know the access key or its session token: deleted, disabled, revoked, from another \
             partition, or copied without the session token that belongs to it.",
            "Replace all parts of the credentials together; a key that begins with ASIA needs its session token.",
        ),
        Cause::SecretKeyWrong => Advice::new(
            "the secret key does not belong to the access key",
            "STS knows the access key, but the signature does not match.",
            "Copy both parts of the key again; look for a secret that was cut or quoted.",
        ),
        Cause::ClockWrong => Advice::new(
            "this machine's clock is wrong",
            "AWS refuses signatures from more than five minutes ahead of its time, and an auth token's 15 minutes \
             begin when this clock says.",
            "Set the clock by NTP (chrony, systemd-timesyncd; `wsl --shutdown` for WSL after sleep).",
        ),
        Cause::HostMissing => Advice::new(
            "no database host was given",
            "The host is what is dialled and what the auth token is signed for.",
            "Pass --host with the database's endpoint, a postgresql:// URL, or set PGHOST.",
        ),
        Cause::UserMissing => Advice::new(
            "no database user was given",
            "An auth token is signed for one database user.",
            "Pass --user with the name of the database user, or set PGUSER.",
        ),
        Cause::EndpointNotAws => Advice::new(
            format!("{} is no AWS database endpoint", known.host()),
            "The auth token names the endpoint that it is for. Behind a tunnel, a CNAME or an address nothing \
             says which one that is.",
            "Pass --token-host with the database's own endpoint (PGIAM_TOKEN_HOST does the same); the \
             connection still goes to the host you gave.",
        ),
        Cause::EndpointAlias => Advice::new(
            format!("{} is only an alias of the endpoint", known.host()),
            "RDS accepts tokens that are signed for its own endpoint name only; a CNAME record of yours is not \
             known to it.",
            "Sign for the endpoint itself, and keep connecting to the alias.",
        ),
        Cause::TokenNotSigned => Advice::new(
            "no auth token could be signed",
            "What was given does not make a token that the database could accept.",
            "Correct the option that is named above.",
        ),
        _ => Advice::new(
            "the endpoint cannot be used",
            "Host, region and port decide what is signed; a guess there would end in a refused login.",
            "Correct the option that is named above.",
        ),
    }
}
