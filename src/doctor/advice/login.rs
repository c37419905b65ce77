//! Refused logins: tokens, policies, grants. What the server itself lacks is in `server.rs`.

use super::{Advice, Situation, server};
use crate::doctor::cause::Cause;
use crate::endpoint::Kind;

pub fn advice(cause: Cause, known: &Situation) -> Advice {
    let user = known.user();
    match cause {
        Cause::PolicyMissing => policy(known),
        Cause::RoleNotMapped => Advice::new(
            format!("the IAM role is not linked to the database user {user}"),
            "Aurora DSQL lets a role log in as a user other than admin only after AWS IAM GRANT.",
            "As admin, link the two:",
        )
        .copy("SQL", known.grant()),
        Cause::NotIamUser if known.kind == Some(Kind::RdsProxy) => Advice::new(
            format!("the database behind the proxy refused the user {user}"),
            "The proxy logs in with the password in its secret, and the database does not accept that.",
            format!("Make the secret's password that of {user}, or use end-to-end IAM authentication."),
        ),
        Cause::NotIamUser => Advice::new(
            format!("the server does not use IAM for the user {user}"),
            "It checks the auth token as if it were a stored password. That is so for users without rds_iam, for \
             names that do not exist, and where IAM authentication is not enabled on the instance.",
            format!("As the master user, create {user} if need be, and grant:"),
        )
        .copy("SQL", known.grant())
        .copy("if the user does not exist", format!("CREATE ROLE {} LOGIN;", super::super::situation::quoted(user)))
        .policy(known),
        Cause::UserUnknown => Advice::new(
            format!("the database user {user} does not exist"),
            "The login was accepted, but the database has no role of that name; names are case-sensitive.",
            "Create the user, or correct the name:",
        )
        .copy("SQL", format!("CREATE ROLE {} LOGIN;\n{}", super::super::situation::quoted(user), known.grant())),
        Cause::UserMayNotLogIn => Advice::new(
            format!("the database role {user} may not log in"),
            "It was created as a group, without LOGIN.",
            "As the master user:",
        )
        .copy("SQL", format!("ALTER ROLE {} LOGIN;", super::super::situation::quoted(user))),
        Cause::TokenRefused => Advice::new(
            format!("the server refused the auth token of {user}"),
            "It does not say why. Policy, host, port, region, clock and credentials all end in these words.",
            "Run `pgiam doctor` with the same host and user: it tests these one by one. The policy must allow:",
        )
        .policy(known),
        Cause::SignedWrongHost => Advice::new(
            "the auth token is signed for the wrong host",
            "The database accepts tokens for its own endpoint name, not for an alias, address or other database.",
            "Sign for the endpoint's own name (--token-host, PGIAM_TOKEN_HOST, token_host=).",
        ),
        Cause::SignedWrongPort => Advice::new(
            "the auth token is signed for the wrong port",
            "The port of the database is part of what is signed; a tunnel's local port is another one.",
            "Name the database's own port: token_host=<endpoint>:<port>.",
        ),
        Cause::SignedWrongRegion => Advice::new(
            format!("the auth token is signed for the wrong region, {}", known.region()),
            "The region is part of the signature.",
            "Pass the region in which the database is, or leave it out where the endpoint's name has it.",
        ),
        Cause::SignatureExpired => Advice::new(
            "the auth token had expired when the server read it",
            "Tokens open connections for 15 minutes from the moment that this machine's clock says.",
            "Set the clock by NTP; where a token is kept anywhere, let pgiam mint one per connection instead.",
        ),
        Cause::SignatureNotYetValid => Advice::new(
            "the auth token comes from the future",
            "This machine's clock is more than five minutes ahead of AWS's.",
            "Set the clock by NTP.",
        ),
        Cause::LoginCredentialsExpired => Advice::new(
            "the credentials behind the auth token have expired",
            "A token does not outlive the session that signed it.",
            "Renew the session (`aws sso login`), or use a source that renews by itself.",
        ),
        Cause::LoginCredentialsRefused => Advice::new(
            "AWS does not know the credentials behind the auth token",
            "The key was deleted, disabled or revoked, or its session token belongs to another key.",
            "Replace all parts of the credentials together.",
        ),
        Cause::SignatureWrong => Advice::new(
            "the signature of the auth token does not match",
            "The secret key does not belong to the access key, or what was signed is not what the server expects.",
            "Copy the key again; check --token-host and --region.",
        ),
        Cause::ActionWrong => Advice::new(
            format!("the auth token is for another action than {user} needs"),
            "On Aurora DSQL admin logs in by DbConnectAdmin, everybody else by DbConnect.",
            "Let pgiam sign for the very user that connects: check PGUSER against the user in the URL.",
        ),
        _ => server::advice(cause, known),
    }
}

fn policy(known: &Situation) -> Advice {
    let likely = if known.is_dsql() { "" } else { "most likely " };
    let title = format!(
        "{likely}no IAM policy allows {} as {}",
        known.action(),
        known.user()
    );
    let why = match known.kind {
        Some(Kind::Dsql) => "The token is right; what it may do is for the IAM policies to say.",
        _ => {
            "The token is right as far as can be tested from here; the server still refuses it, as it does \
              when no policy allows the connection."
        }
    };
    let whom = known.principal();
    let fix = match known.kind {
        Some(Kind::Dsql) => format!("Add this statement to the policies of {whom}:"),
        _ => format!(
            "Add this statement to the policies of {whom}, and look for a permission boundary, a session \
             policy or an SCP that denies it. The resource is the database's resource id, not its name:"
        ),
    };
    Advice::new(title, why, fix).policy(known)
}
