use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/app";

fn claims() -> Claims {
    Claims {
        issuer: Some("https://oidc.example.com/acme".to_owned()),
        subject: Some("project:shop".to_owned()),
        audience: vec!["sts.amazonaws.com".to_owned()],
        ..Claims::default()
    }
}

fn error(code: &str, message: &str, status: u16, claims: Option<&Claims>) -> Error {
    let answered = Answered {
        code: code.to_owned(),
        message: message.to_owned(),
        status,
        request_id: Some("6f6a1f2e".to_owned()),
    };
    answered.into_error(Shown {
        operation: if claims.is_some() {
            "AssumeRoleWithWebIdentity"
        } else {
            "AssumeRole"
        },
        role_arn: Some(ROLE),
        claims,
        region: "eu-west-1",
        has_external_id: false,
    })
}

#[test]
fn codes_become_kinds_and_next_steps() {
    // (code, message, status, with identity token, kind, part of the hint)
    let cases: [(&str, &str, u16, bool, Kind, &str); 24] = [
        (
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            403,
            true,
            Kind::Exchange,
            "oidc.example.com/acme:sub is project:shop and oidc.example.com/acme:aud is sts.amazonaws.com",
        ),
        (
            "AccessDenied",
            "User: x is not authorized",
            403,
            false,
            Kind::Exchange,
            "must name the caller",
        ),
        (
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://oidc.example.com/acme",
            400,
            true,
            Kind::Exchange,
            "Create an IAM OIDC identity provider for https://oidc.example.com/acme in account 123456789012",
        ),
        (
            "InvalidIdentityToken",
            "Incorrect token audience",
            400,
            true,
            Kind::Exchange,
            "Add sts.amazonaws.com",
        ),
        (
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider",
            400,
            true,
            Kind::Exchange,
            "JWKS must be public",
        ),
        (
            "InvalidIdentityToken",
            "not a valid JWT",
            400,
            true,
            Kind::Exchange,
            "RS256",
        ),
        (
            "ExpiredTokenException",
            "Token expired",
            400,
            true,
            Kind::Exchange,
            "Fetch a new identity token",
        ),
        (
            "ExpiredToken",
            "The security token is expired",
            403,
            false,
            Kind::Exchange,
            "credentials that signed",
        ),
        ("IDPRejectedClaim", "", 403, true, Kind::Exchange, "revoked"),
        (
            "IDPCommunicationError",
            "",
            400,
            true,
            Kind::Exchange,
            "could not reach https://oidc.example.com",
        ),
        (
            "MalformedPolicyDocument",
            "Syntax errors in policy",
            400,
            true,
            Kind::Exchange,
            "policy=",
        ),
        ("PackedPolicyTooLarge", "", 400, false, Kind::Exchange, "Shorten"),
        (
            "RegionDisabledException",
            "",
            403,
            true,
            Kind::Exchange,
            "Activate eu-west-1",
        ),
        (
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            400,
            true,
            Kind::Exchange,
            "MaxSessionDuration",
        ),
        (
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            400,
            false,
            Kind::Exchange,
            "duration=3600",
        ),
        (
            "ValidationError",
            "something else",
            400,
            false,
            Kind::Exchange,
            "API reference",
        ),
        (
            "InvalidClientTokenId",
            "",
            403,
            false,
            Kind::Exchange,
            "does not exist",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature expired",
            403,
            false,
            Kind::Exchange,
            "clock",
        ),
        ("IncompleteSignature", "", 400, false, Kind::Exchange, "proxy"),
        (
            "Throttling",
            "Rate exceeded",
            400,
            true,
            Kind::Transport,
            "share one pgiam.Client",
        ),
        (
            "RequestLimitExceeded",
            "",
            503,
            true,
            Kind::Transport,
            "share one pgiam.Client",
        ),
        ("InternalFailure", "", 500, true, Kind::Transport, "tries again"),
        (
            "ServiceUnavailable",
            "",
            503,
            false,
            Kind::Transport,
            "tries again",
        ),
        ("SomethingNew", "", 400, true, Kind::Exchange, "API reference"),
    ];
    let claims = claims();
    for (code, message, status, with_token, kind, hint) in cases {
        let error = error(code, message, status, with_token.then_some(&claims));
        assert_eq!(error.kind, kind, "{code}");
        assert!(error.hint.contains(hint), "{code}: {}", error.hint);
        let refusal = error.refusal.as_ref().unwrap();
        assert_eq!(
            (refusal.code.as_str(), refusal.request_id.as_deref()),
            (code, Some("6f6a1f2e"))
        );
        if with_token {
            for part in [
                "https://oidc.example.com/acme",
                "project:shop",
                "sts.amazonaws.com",
            ] {
                assert!(error.message.contains(part), "{code}: {}", error.message);
            }
            assert_eq!(refusal.claims.len(), 3);
        }
        if kind == Kind::Exchange {
            assert!(error.message.contains(ROLE), "{code}: {}", error.message);
        }
    }
}

#[test]
fn google_is_named_as_iam_names_it() {
    let google = Claims {
        issuer: Some("https://accounts.google.com".to_owned()),
        subject: Some("1120".to_owned()),
        audience: vec!["sts.amazonaws.com".to_owned()],
        authorized_party: Some("1120".to_owned()),
        ..Claims::default()
    };
    let error = error("AccessDenied", "no", 403, Some(&google));
    assert!(
        error.hint.contains("principal Federated accounts.google.com"),
        "{}",
        error.hint
    );
    assert!(
        error.hint.contains("accounts.google.com:aud is 1120"),
        "{}",
        error.hint
    );
}

#[test]
fn no_answer_can_bring_a_token_into_a_message() {
    let error = error(
        "AccessDenied",
        "refused eyJhbGciOi.eyJpc3Mi.c2ln\x1b[31m for you.",
        403,
        None,
    );
    assert!(
        error.message.contains("refused ... for you (AccessDenied)"),
        "{}",
        error.message
    );
}

#[test]
fn an_answer_cannot_write_into_logs_what_it_likes() {
    let long = "AccessDenied".repeat(300);
    for (code, message) in [
        (
            "\x1b[31mAccess\nDenied\u{202e}",
            "a\r\nERROR forged\x1b[2J\u{202e} it's \"quoted\"",
        ),
        (long.as_str(), &"no ".repeat(3000)),
    ] {
        let error = error(code, message, 403, Some(&claims()));
        let code = &error.refusal.as_ref().unwrap().code;
        for text in [&error.message, code] {
            assert!(text.len() < 1000, "{text}");
            let hostile = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!text.contains(hostile), "{text:?}");
        }
    }
    let quoted = error("AccessDenied", "it's \"quoted\"", 403, None);
    assert!(quoted.message.contains("it's \"quoted\""), "{}", quoted.message);
}
