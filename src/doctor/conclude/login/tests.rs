use super::*;
use crate::endpoint::Address;

const NAME: &str = "db.cluster-abc.eu-central-1.rds.amazonaws.com";
const PROXY: &str = "db.proxy-abc.eu-central-1.rds.amazonaws.com";
const CLUSTER: &str = "abcdefghijklmnopqrstuvwxy1.dsql.eu-central-1.on.aws";

fn endpoint(host: &str, port: u16, region: Option<&str>, token_host: Option<&str>) -> Endpoint {
    let address = Address {
        host,
        port: Some(port),
        region,
        token_host,
    };
    Endpoint::parse(&address, || None).unwrap()
}

fn known(endpoint: &Endpoint) -> Situation {
    Situation {
        user: Some("app".to_owned()),
        account: Some("123456789012".to_owned()),
        ..Situation::default()
    }
    .at(endpoint)
}

fn pam() -> Evidence {
    Evidence {
        refusal: Refusal {
            sqlstate: Some("28000".to_owned()),
            message: "PAM authentication failed for user \"app\"".to_owned(),
            hint: None,
        },
        demand: Some(Demand::ClearText),
        trusted: Trusted::ByAws,
        offset: Some(ClockOffset::NONE),
        trials: Vec::new(),
        names: Vec::new(),
    }
}

fn off_by(seconds: i64) -> ClockOffset {
    let at = crate::clock::Time::from_secs;
    ClockOffset::measured(at(10_000 + seconds), at(10_000), at(10_000))
}

fn texts(diagnosis: &Diagnosis, fact: &str) -> Vec<String> {
    let Some((_, Value::List(values))) = diagnosis.data.iter().find(|(name, _)| *name == fact) else {
        panic!("no list {fact}");
    };
    values.iter().map(|value| format!("{value:?}")).collect()
}

#[test]
fn with_everything_excluded_the_policy_remains() {
    let at = endpoint(NAME, 5432, None, None);
    let found = refused(&pam(), &at, &known(&at));
    assert_eq!(found.name, "login.policy");
    let resource = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:<cluster-id>/app";
    assert!(found.snippets[0].text.contains(resource), "{:?}", found.snippets);
    assert!(found.snippets[1].text.contains("DbClusterResourceId"));
    let excluded = texts(&found, "excluded").join("\n");
    for cause in [
        "rds_iam",
        "foreign credentials",
        "wrong clock",
        "wrong region",
        "alias",
        "SNI",
        "expired token",
    ] {
        assert!(excluded.contains(cause), "{cause} in {excluded}");
    }
    assert_eq!(texts(&found, "possible").len(), 1);
}

#[test]
fn what_was_not_tested_is_not_excluded() {
    let at = endpoint("tunnel.example", 6000, Some("eu-central-1"), None);
    let evidence = Evidence {
        demand: None,
        trusted: Trusted::Unknown,
        offset: None,
        ..pam()
    };
    let found = refused(&evidence, &at, &known(&at));
    let excluded = texts(&found, "excluded").join("\n");
    for cause in [
        "rds_iam",
        "foreign credentials",
        "wrong clock",
        "wrong region",
        "alias",
    ] {
        assert!(!excluded.contains(cause), "{cause} in {excluded}");
    }
    let possible = texts(&found, "possible").join("\n");
    for cause in ["not the endpoint's own", "credentials", "clock", "not enabled"] {
        assert!(possible.contains(cause), "{cause} in {possible}");
    }
}

#[test]
fn a_trial_that_opens_the_door_is_the_proof() {
    let at = endpoint("db.example.com", 5432, Some("eu-central-1"), None);
    for (change, cause, fix) in [
        (Change::Host(NAME.to_owned()), "login.wrong_host", NAME),
        (Change::Port(5433), "login.wrong_port", ":5433"),
        (
            Change::Region("us-east-1".to_owned()),
            "login.wrong_region",
            "--region us-east-1",
        ),
        (Change::Clock(off_by(900)), "login.signature_expired", "NTP"),
        (
            Change::Clock(off_by(-900)),
            "login.signature_not_yet_valid",
            "NTP",
        ),
    ] {
        let mut evidence = pam();
        evidence.trials = vec![(Change::Port(1), Some(false)), (change, Some(true))];
        let found = refused(&evidence, &at, &known(&at));
        assert_eq!(found.name, cause);
        assert!(found.fix.contains(fix), "{}", found.fix);
    }
    let mut evidence = pam();
    evidence.trials = vec![(Change::Port(5433), Some(false)), (Change::Port(5434), None)];
    let found = refused(&evidence, &at, &known(&at));
    assert_eq!(found.name, "login.policy");
    let excluded = texts(&found, "excluded").join("\n");
    assert!(excluded.contains("5433 is refused too") && !excluded.contains("5434"));
}

#[test]
fn a_server_that_wants_a_stored_password_does_not_know_an_iam_user() {
    let at = endpoint(NAME, 5432, None, None);
    for demand in [Demand::Scram, Demand::Md5] {
        let mut evidence = pam();
        evidence.demand = Some(demand);
        evidence.refusal.message = "password authentication failed for user \"app\"".to_owned();
        let found = refused(&evidence, &at, &known(&at));
        assert_eq!(found.name, "login.not_iam_user");
        assert_eq!(found.snippets[0].text, "GRANT rds_iam TO \"app\";");
        assert!(found.detail.iter().any(|line| line.contains(demand.name())));
    }
}

#[test]
fn where_the_server_says_why_nothing_is_guessed() {
    let at = endpoint(CLUSTER, 5432, None, None);
    let mut evidence = pam();
    evidence.refusal = Refusal {
        sqlstate: Some("08006".to_owned()),
        message: "unable to accept connection, access denied".to_owned(),
        hint: Some("Wrong user to action mapping. user: admin, action: DbConnect".to_owned()),
    };
    let found = refused(&evidence, &at, &known(&at));
    assert_eq!(found.name, "login.wrong_action");
    assert_eq!(texts(&found, "possible").len(), 0);
    assert!(!found.detail.iter().any(|line| line.starts_with("not ")));
}

#[test]
fn only_what_could_be_wrong_is_tried() {
    let refused = Some(Cause::TokenRefused);
    let real = [NAME.to_owned()];
    let regions = ["us-east-1".to_owned(), "eu-central-1".to_owned()];
    let direct = endpoint(NAME, 5432, None, None);
    let alias = endpoint("db.example.com", 5432, Some("eu-central-1"), None);
    let tunnel = endpoint("localhost", 6000, None, Some(NAME));
    let tunnel_with_port = endpoint("localhost", 6000, None, Some(&format!("{NAME}:5433")));
    let other = endpoint("localhost", 5432, None, Some(&NAME.replace("db.", "other.")));
    let proxy = endpoint("localhost", 5432, None, Some(PROXY));
    let cluster = endpoint("localhost", 6000, None, Some(CLUSTER));
    let (same, off) = (Some(ClockOffset::NONE), Some(off_by(900)));
    let none: &[String] = &[];
    let host = || Change::Host(NAME.to_owned());
    let us = || Change::Region("us-east-1".to_owned());
    for (meaning, at, chain, names, offset, corrected, tried) in [
        (refused, &direct, none, none, same, false, vec![]),
        (refused, &direct, none, &real[..], same, false, vec![]),
        (
            refused,
            &direct,
            none,
            none,
            off,
            false,
            vec![Change::Clock(off_by(900))],
        ),
        (refused, &direct, none, none, off, true, vec![]),
        (refused, &direct, &real[..], none, same, false, vec![]),
        (
            refused,
            &alias,
            &real[..],
            &real[..],
            same,
            false,
            vec![us(), host()],
        ),
        (refused, &alias, none, &real[..], same, false, vec![us(), host()]),
        (
            refused,
            &tunnel,
            none,
            &real[..],
            same,
            false,
            vec![Change::Port(5432)],
        ),
        (
            refused,
            &tunnel_with_port,
            none,
            none,
            same,
            false,
            vec![Change::Port(6000), Change::Port(5432)],
        ),
        (refused, &other, none, &real[..], same, false, vec![host()]),
        (refused, &proxy, none, none, same, false, vec![]),
        (refused, &cluster, none, none, same, false, vec![]),
        (
            Some(Cause::TooManyConnections),
            &alias,
            &real[..],
            none,
            off,
            false,
            vec![],
        ),
        (None, &alias, &real[..], none, off, false, vec![]),
    ] {
        let found = changes(meaning, at, Some(chain), names, offset, corrected, &regions);
        assert_eq!(found, tried, "{at:?}");
    }
}
