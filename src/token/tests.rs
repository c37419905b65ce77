//! Golden vectors. The signatures are botocore's, the AWS SDK for Rust's and, where no upstream states one,
//! computed once with botocore 1.44.5. `tests/test_token.py` compares whole tokens with botocore itself.

use super::*;

fn credentials(access_key: &str, secret_key: &str, session_token: Option<&str>) -> Credentials {
    Credentials {
        access_key: access_key.into(),
        secret_key: secret_key.into(),
        session_token: session_token.map(Secret::from),
        expires_at: None,
        account_id: None,
        source: "test".into(),
        region: None,
        clock_offset: crate::clock::ClockOffset::NONE,
    }
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    let address = crate::endpoint::Address {
        host,
        port: Some(port),
        ..Default::default()
    };
    Endpoint::parse(&address, || None).expect(host)
}

struct Case {
    name: &'static str,
    keys: (&'static str, &'static str, Option<&'static str>),
    now: i64,
    host: (&'static str, u16),
    user: &'static str,
    expires_in: Option<u32>,
    signature: &'static str,
}

const EXAMPLE: (&str, &str, Option<&str>) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None);
const EXAMPLE_HOST: &str = "db.cluster-abc123.us-east-1.rds.amazonaws.com";
const EXAMPLE_TIME: i64 = 1_767_323_045; // 20260102T030405Z
const CASES: [Case; 14] = [
    Case {
        name: "botocore test_signers.py, TestGenerateDBAuthToken",
        keys: ("akid", "skid", None),
        now: 1_478_540_373,
        host: ("prod-instance.us-east-1.rds.amazonaws.com", 3306),
        user: "someusername",
        expires_in: None,
        signature: "d1138cdbc0ca63eec012ec0fc6c2267e03642168f5884a7795320d4c18374c61",
    },
    Case {
        name: "botocore test_signers.py, TestDSQLGenerateDBAuthToken, DbConnect",
        keys: ("ACCESS_KEY", "SECRET_KEY", Some("SESSION_TOKEN")),
        now: 1_731_001_173,
        host: ("test.dsql.us-east-1.on.aws", 5432),
        user: "someone",
        expires_in: Some(900),
        signature: "57fe03e060348aaa21405c239bf02572bbc911076e94dcd65c12ae569dd8fcf4",
    },
    Case {
        name: "botocore test_signers.py, TestDSQLGenerateDBAuthToken, DbConnectAdmin",
        keys: ("ACCESS_KEY", "SECRET_KEY", Some("SESSION_TOKEN")),
        now: 1_731_001_173,
        host: ("test.dsql.us-east-1.on.aws", 5432),
        user: "admin",
        expires_in: None,
        signature: "5ac084bc7cabccc19a52a5d1b5c24b50d3ce143f43b659bd484c91aaf555e190",
    },
    Case {
        name: "aws-sdk-rds auth_token.rs",
        keys: ("akid", "secret", None),
        now: 1_724_709_600,
        host: ("prod-instance.us-east-1.rds.amazonaws.com", 3306),
        user: "peccy",
        expires_in: Some(900),
        signature: "dd0cba843009474347af724090233265628ace491ea17ce3eb3da098b983ad89",
    },
    Case {
        name: "aws-sdk-dsql auth_token.rs, DbConnect",
        keys: ("akid", "secret", None),
        now: 1_724_716_800,
        host: ("peccy.dsql.us-east-1.on.aws", 5432),
        user: "peccy",
        expires_in: Some(450),
        signature: "f5f2ad764ca5df44045d4ab6ccecba0eef941b0007e5765885a0b6ed3702a3f8",
    },
    Case {
        name: "aws-sdk-dsql auth_token.rs, DbConnectAdmin",
        keys: ("akid", "secret", None),
        now: 1_724_716_800,
        host: ("peccy.dsql.us-east-1.on.aws", 5432),
        user: "admin",
        expires_in: Some(450),
        signature: "267cf8d04d84444f7a62d5bdb40c44bfc6cb13dd6c64fa7f772df6bbaa90fff1",
    },
    Case {
        name: "botocore functional test_dsql.py, DbConnect",
        keys: ("akid", "secret", None),
        now: 1_724_716_800,
        host: ("peccy.dsql.us-east-1.on.aws", 5432),
        user: "peccy",
        expires_in: Some(900),
        signature: "620652854c11c160cfd32458713b81b093603a327a5eacee5dbd7a4f9d144734",
    },
    Case {
        name: "plain",
        keys: EXAMPLE,
        now: EXAMPLE_TIME,
        host: (EXAMPLE_HOST, 5432),
        user: "app_user",
        expires_in: None,
        signature: "4f307b2a94dd22b91fe7aa0d1bb5b10db6a4fe94cf127fe39ed997595a5b99c0",
    },
    Case {
        name: "upper-case host: the same signature",
        keys: EXAMPLE,
        now: EXAMPLE_TIME,
        host: ("DB.CLUSTER-ABC123.US-EAST-1.RDS.AMAZONAWS.COM", 5432),
        user: "app_user",
        expires_in: None,
        signature: "4f307b2a94dd22b91fe7aa0d1bb5b10db6a4fe94cf127fe39ed997595a5b99c0",
    },
    Case {
        name: "final dot: signed without it, unlike botocore, since no database knows itself with it",
        keys: EXAMPLE,
        now: EXAMPLE_TIME,
        host: ("db.cluster-abc123.us-east-1.rds.amazonaws.com.", 5432),
        user: "app_user",
        expires_in: None,
        signature: "4f307b2a94dd22b91fe7aa0d1bb5b10db6a4fe94cf127fe39ed997595a5b99c0",
    },
    Case {
        name: "session token",
        keys: (EXAMPLE.0, EXAMPLE.1, Some("IQoJb3JpZ2lu/+a=b==")),
        now: EXAMPLE_TIME,
        host: (EXAMPLE_HOST, 5432),
        user: "app_user",
        expires_in: None,
        signature: "9d310694d30e3f1d122a1448f9bf0a52e5c9c687a7df02047c4b6fa378a585cf",
    },
    Case {
        name: "port 443 is left out of the signed header",
        keys: EXAMPLE,
        now: EXAMPLE_TIME,
        host: (EXAMPLE_HOST, 443),
        user: "app_user",
        expires_in: None,
        signature: "5c79bb09795091bc9029e1feef37ebb373698fe22e9951c0274561c6b8d49564",
    },
    Case {
        name: "port 80 is not",
        keys: EXAMPLE,
        now: EXAMPLE_TIME,
        host: (EXAMPLE_HOST, 80),
        user: "app_user",
        expires_in: None,
        signature: "5dd5f15a271aad3879688afa8548e6c4f5ce95f0e7faa6853e86c32b18e3230b",
    },
    Case {
        name: "every kind of character in the user",
        keys: EXAMPLE,
        now: EXAMPLE_TIME,
        host: (EXAMPLE_HOST, 5432),
        user: "a+b c@d/\u{e9}~-_.%",
        expires_in: None,
        signature: "93ce1218303c6af51cabfcab7dc58ae9e7afb82d5d66562554aed35c03c672f4",
    },
];

#[test]
fn golden_vectors() {
    for case in CASES {
        let signer = Signer::new(credentials(case.keys.0, case.keys.1, case.keys.2));
        // The first prod-instance host has no hash label and is no endpoint; what is signed is a name.
        let endpoint = if case.host.0.starts_with("prod-instance") {
            named(case.host.0, case.host.1)
        } else {
            endpoint(case.host.0, case.host.1)
        };
        let login = Login {
            user: case.user,
            expires_in: case.expires_in,
        };
        for _ in 0..2 {
            let token = signer
                .sign(&endpoint, login, Time::from_secs(case.now))
                .expect(case.name);
            let value = token.value.reveal();
            assert!(
                value.ends_with(&format!("&X-Amz-Signature={}", case.signature)),
                "{}: {value}",
                case.name
            );
        }
    }
}

fn named(host: &str, port: u16) -> Endpoint {
    let region = Some("us-east-1");
    let address = crate::endpoint::Address {
        host: "localhost",
        port: Some(port),
        region,
        ..Default::default()
    };
    Endpoint {
        token_host: host.to_owned(),
        ..Endpoint::parse(&address, || None).expect(host)
    }
}

#[test]
fn the_whole_token_in_botocores_order() {
    let signer = Signer::new(credentials("akid", "skid", Some("a/b+c=")));
    let login = Login {
        user: "x y",
        expires_in: Some(60),
    };
    let host = "Db.Cluster-Abc123.us-east-1.rds.amazonaws.com";
    let token = signer
        .sign(&endpoint(host, 3306), login, Time::from_secs(EXAMPLE_TIME))
        .expect("a token");
    let (start, signature) = token.value.reveal().rsplit_once('=').expect("a signature");
    assert_eq!(
        start,
        "Db.Cluster-Abc123.us-east-1.rds.amazonaws.com:3306/?Action=connect&DBUser=x%20y\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=akid%2F20260102%2Fus-east-1%2Frds-db%2Faws4_request\
         &X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
         &X-Amz-Security-Token=a%2Fb%2Bc%3D&X-Amz-Signature"
    );
    assert_eq!(signature.len(), 64);
}

#[test]
fn a_user_cannot_inject_parameters() {
    let signer = Signer::new(credentials(EXAMPLE.0, EXAMPLE.1, None));
    let login = Login {
        user: "a&DBUser=b#c",
        expires_in: None,
    };
    let token = signer
        .sign(
            &endpoint(EXAMPLE_HOST, 5432),
            login,
            Time::from_secs(EXAMPLE_TIME),
        )
        .expect("a token");
    assert!(
        token
            .value
            .reveal()
            .contains("&DBUser=a%26DBUser%3Db%23c&X-Amz-Algorithm=")
    );
}

#[test]
fn a_token_never_outlives_its_credentials() {
    let now = Time::from_secs(EXAMPLE_TIME);
    let mut short = credentials(EXAMPLE.0, EXAMPLE.1, None);
    short.expires_at = Some(now + Duration::from_secs(100));
    let endpoint = endpoint("test.dsql.us-east-1.on.aws", 5432);
    let login = |expires_in| Login {
        user: "app",
        expires_in,
    };
    let short = Signer::new(short);
    let end = |signer: &Signer, expires_in| {
        now.until(
            signer
                .sign(&endpoint, login(expires_in), now)
                .expect("a token")
                .expires_at,
        )
        .as_secs()
    };
    assert_eq!(end(&short, Some(450)), 100);
    assert_eq!(end(&short, Some(60)), 60);
    let open = Signer::new(credentials(EXAMPLE.0, EXAMPLE.1, None));
    assert_eq!(end(&open, None), 900);
    assert_eq!(end(&open, Some(604_800)), 604_800);
}

#[test]
fn keys_are_derived_per_day_region_and_service_and_old_ones_go() {
    let signer = Signer::new(credentials(EXAMPLE.0, EXAMPLE.1, None));
    let login = Login {
        user: "app",
        expires_in: None,
    };
    let mut seen = std::collections::HashSet::new();
    for day in 0..3 {
        for number in 0..40 {
            let host = format!("db.abc123.us-east-{number}.rds.amazonaws.com");
            let now = Time::from_secs(EXAMPLE_TIME + day * 86_400);
            let token = signer.sign(&endpoint(&host, 5432), login, now).expect("a token");
            let fresh = Signer::new(credentials(EXAMPLE.0, EXAMPLE.1, None));
            let other = fresh.sign(&endpoint(&host, 5432), login, now).expect("a token");
            assert_eq!(token.value, other.value);
            assert!(seen.insert(token.value.reveal().to_owned()));
        }
        assert_eq!(signer.keys.load().len(), MAX_KEYS);
    }
}

#[test]
fn bad_logins_are_refused() {
    let (rds, dsql) = (Kind::RdsProxy, Kind::Dsql);
    for (kind, user, expires_in) in [
        (rds, "", None),
        (rds, "a\0b", None),
        (rds, "a\u{7f}", None),
        (rds, "a\nb", None),
        (rds, &"x".repeat(64), None),
        (rds, &"\u{e9}".repeat(32), None),
        (rds, "a", Some(0)),
        (rds, "a", Some(901)),
        (dsql, "a", Some(0)),
        (dsql, "a", Some(604_801)),
        (dsql, "a", Some(u32::MAX)),
    ] {
        let error = Login { user, expires_in }.check(kind).expect_err("refused");
        assert!(!error.hint.is_empty(), "{user}");
    }
    for (kind, expires_in, expected) in [
        (rds, None, 900),
        (dsql, None, 900),
        (dsql, Some(604_800), 604_800),
    ] {
        assert_eq!(
            Login {
                user: &"x".repeat(63),
                expires_in
            }
            .check(kind)
            .ok(),
            Some(expected)
        );
    }
}
