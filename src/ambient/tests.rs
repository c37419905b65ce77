use super::*;
use crate::surroundings::tests::Elsewhere;

type Around = &'static [(&'static str, &'static str)];

const ROLE_SET: (&str, &str) = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app");
const OWN_ROLE_SET: (&str, &str) = ("PGIAM_ROLE_ARN", "arn:aws:iam::123456789012:role/own");
const GITHUB: [(&str, &str); 3] = [
    ("GITHUB_ACTIONS", "true"),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://example.com/?a=b"),
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
];
const ON_GOOGLE: (&str, &str) = ("/sys/class/dmi/id/product_name", "Google Compute Engine");

/// The platform that is taken, "chain", or "broken".
fn verdict(around: &[(&'static str, &'static str)]) -> String {
    match look(&Elsewhere(around.to_vec())).1 {
        Verdict::Platform { known, role_arn } => {
            format!("{} {}", known.name, role_arn.rsplit('/').next().unwrap())
        }
        Verdict::Chain => "chain".to_owned(),
        Verdict::Broken(error) => format!("broken: {:?}", error.kind),
    }
}

#[test]
fn the_order() {
    let cases: [(&str, Around, &str); 20] = [
        ("nothing", &[], "chain"),
        ("a role alone", &[ROLE_SET], "chain"),
        ("a platform alone", &GITHUB, "chain"),
        (
            "a role and a platform",
            &[ROLE_SET, GITHUB[0], GITHUB[1], GITHUB[2]],
            "GitHub Actions app",
        ),
        (
            "a job before its machine",
            &[ROLE_SET, ON_GOOGLE, GITHUB[0], GITHUB[1], GITHUB[2]],
            "GitHub Actions app",
        ),
        (
            "a job on EC2",
            &[
                ROLE_SET,
                GITHUB[0],
                GITHUB[1],
                GITHUB[2],
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://x"),
            ],
            "GitHub Actions app",
        ),
        (
            "a job in ECS",
            &[
                ROLE_SET,
                GITHUB[0],
                GITHUB[1],
                GITHUB[2],
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://x"),
            ],
            "GitHub Actions app",
        ),
        (
            "a platform before keys: it can renew, they cannot",
            &[
                ROLE_SET,
                GITHUB[0],
                GITHUB[1],
                GITHUB[2],
                ("AWS_ACCESS_KEY_ID", "AKIA"),
            ],
            "GitHub Actions app",
        ),
        (
            "a job without the permission is not the machine",
            &[ROLE_SET, GITHUB[0]],
            "broken: IdentityToken",
        ),
        (
            "unless it brought keys",
            &[ROLE_SET, GITHUB[0], ("AWS_ACCESS_KEY_ID", "AKIA")],
            "chain",
        ),
        (
            "or a profile",
            &[ROLE_SET, GITHUB[0], ("AWS_PROFILE", "ci")],
            "chain",
        ),
        (
            "a token file goes with the role",
            &[
                ROLE_SET,
                GITHUB[0],
                GITHUB[1],
                GITHUB[2],
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/f"),
            ],
            "chain",
        ),
        (
            "unless pgiam has a role of its own",
            &[
                ROLE_SET,
                OWN_ROLE_SET,
                GITHUB[0],
                GITHUB[1],
                GITHUB[2],
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/f"),
            ],
            "GitHub Actions own",
        ),
        (
            "that role needs a platform",
            &[OWN_ROLE_SET],
            "broken: Configuration",
        ),
        (
            "and no keys stand in for it",
            &[OWN_ROLE_SET, GITHUB[0], ("AWS_ACCESS_KEY_ID", "AKIA")],
            "broken: IdentityToken",
        ),
        (
            "Fly's API before the file that Fly wrote from it",
            &[
                ROLE_SET,
                ("FLY_APP_NAME", "a"),
                ("/.fly/api", ""),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/.fly/oidc_token"),
            ],
            "Fly.io app",
        ),
        (
            "Fly's file without its API",
            &[
                ROLE_SET,
                ("FLY_APP_NAME", "a"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/.fly/oidc_token"),
            ],
            "chain",
        ),
        (
            "Vercel runs on Lambda",
            &[ROLE_SET, ("VERCEL", "1"), ("AWS_LAMBDA_FUNCTION_NAME", "f")],
            "Vercel app",
        ),
        ("a machine's own", &[ROLE_SET, ON_GOOGLE], "Google Cloud app"),
        (
            "a token file without its role",
            &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/f")],
            "chain",
        ),
    ];
    for (name, around, expected) in cases {
        assert_eq!(verdict(around), expected, "{name}");
    }
    let order: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    assert_eq!(
        order,
        [
            "GitHub Actions",
            "GitLab CI",
            "CircleCI",
            "Bitbucket Pipelines",
            "Buildkite",
            "HCP Terraform",
            "Vercel",
            "Fly.io",
            "Google Cloud",
            "Azure",
        ]
    );
}

#[test]
fn every_place_is_explained() {
    let (findings, _) = look(&Elsewhere(vec![
        ROLE_SET, ON_GOOGLE, GITHUB[0], GITHUB[1], GITHUB[2],
    ]));
    let states: Vec<(&str, State, &str)> = findings
        .iter()
        .map(|finding| (finding.source.as_str(), finding.state, finding.reason.as_str()))
        .collect();
    assert_eq!(states.len(), KNOWN.len());
    assert_eq!(states[0], ("GitHub Actions", State::Taken, "GITHUB_ACTIONS=true"));
    assert_eq!(states[1], ("GitLab CI", State::PassedOver, "not here"));
    assert_eq!(
        states[8],
        ("Google Cloud", State::NotReached, "what is above comes first")
    );
    let (findings, _) = look(&Elsewhere(vec![("VERCEL", "1")]));
    assert_eq!(findings[6].reason, "VERCEL is set, but no AWS_ROLE_ARN");
}

#[test]
fn the_chain_is_explained_without_asking() {
    let chain = Chain::new();
    let states = |around: Around| -> Vec<State> {
        let findings = chain.explain_in(&Elsewhere(around.to_vec()));
        findings.iter().map(|finding| finding.state).collect()
    };
    use State::{NotReached, PassedOver, Pending, Taken};
    for (around, expected) in [
        (&[][..], [PassedOver, PassedOver, PassedOver, PassedOver, Pending]),
        (
            &[("AWS_EC2_METADATA_DISABLED", "true")],
            [PassedOver, PassedOver, PassedOver, PassedOver, PassedOver],
        ),
        (
            &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")],
            [Taken, NotReached, NotReached, NotReached, NotReached],
        ),
        (
            &[
                ("HOME", "/h"),
                ("/h/.aws/config", ""),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "u"),
            ],
            [PassedOver, Pending, PassedOver, Taken, NotReached],
        ),
        (
            &[ROLE_SET, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/f")],
            [PassedOver, PassedOver, Taken, NotReached, NotReached],
        ),
    ] {
        assert_eq!(states(around), expected, "{around:?}");
    }
}
