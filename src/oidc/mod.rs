//! Where identity tokens come from: one file per platform, each with the same parts in the same order:
//! its options, `detect` (is this the platform? without any network) and `fetch` (its token, or an error).

mod azure;
mod buildkite;
mod environment;
mod file;
mod fly;
mod gcp;
mod github_actions;
pub mod vercel;

use std::sync::Arc;

use crate::credentials::Caller;
use crate::identity_token::{AskAnywhere, Asking, IdentitySource, TokenFetch};
use crate::surroundings::{Here, Surroundings};

pub use azure::Azure;
pub use buildkite::Buildkite;
pub use environment::{Bitbucket, CircleCi, GitLab, TerraformCloud, Variable};
pub use file::{PATH as TOKEN_FILE, WebIdentityFile};
pub use fly::Fly;
pub use gcp::Gcp;
pub use github_actions::GithubActions;
pub use vercel::Vercel;

/// What IAM's own examples register with an OIDC provider.
pub const AUDIENCE: &str = "sts.amazonaws.com";
/// The audience to ask for where nobody passes one: ambient detection.
pub const AUDIENCE_VARIABLE: &str = "PGIAM_OIDC_AUDIENCE";

/// The platform is here. Whether it will give a token is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What gave it away.
    pub because: String,
    /// What is known to be missing: here, and broken.
    pub missing: Option<&'static str>,
}

impl Presence {
    fn new(because: impl Into<String>, missing: Option<&'static str>) -> Self {
        Self {
            because: because.into(),
            missing,
        }
    }
}

pub trait Platform: Clone + Send + Sync + 'static {
    fn name(&self) -> String;

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence>;

    fn fetch(&self) -> TokenFetch;
}

/// A platform as a source of identity tokens.
pub struct From<P>(pub P);

impl<P: Platform> IdentitySource for From<P> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn begin(&self, _: Caller) -> Arc<dyn Asking> {
        let platform = self.0.clone();
        Arc::new(AskAnywhere(move || platform.fetch()))
    }
}

/// A platform that ambient detection knows.
pub struct Known {
    pub name: &'static str,
    pub detect: fn(&dyn Surroundings) -> Option<Presence>,
    pub source: fn(audience: Option<String>) -> Arc<dyn IdentitySource>,
}

/// A job before the machine that it runs on: a GitHub job on a runner in Google's cloud is GitHub's.
pub static KNOWN: [Known; 10] = [
    Known {
        name: "GitHub Actions",
        detect: GithubActions::detect,
        source: |audience| Arc::new(From(GithubActions::new(audience))),
    },
    Known {
        name: "GitLab CI",
        detect: GitLab::detect,
        source: |_| Arc::new(From(GitLab::new(None))),
    },
    Known {
        name: "CircleCI",
        detect: CircleCi::detect,
        source: |_| Arc::new(From(CircleCi)),
    },
    Known {
        name: "Bitbucket Pipelines",
        detect: Bitbucket::detect,
        source: |_| Arc::new(From(Bitbucket)),
    },
    Known {
        name: "Buildkite",
        detect: Buildkite::detect,
        source: |audience| Arc::new(From(Buildkite::new(audience))),
    },
    Known {
        name: "HCP Terraform",
        detect: TerraformCloud::detect,
        source: |_| Arc::new(From(TerraformCloud::new(None))),
    },
    Known {
        name: "Vercel",
        detect: Vercel::detect,
        source: |_| Arc::new(Vercel),
    },
    Known {
        name: "Fly.io",
        detect: Fly::detect,
        source: |audience| Arc::new(From(Fly::new(audience))),
    },
    Known {
        name: "Google Cloud",
        detect: Gcp::detect,
        source: |audience| Arc::new(From(Gcp::new(audience))),
    },
    Known {
        name: "Azure",
        detect: Azure::detect,
        source: |audience| Arc::new(From(Azure::new(audience))),
    },
];

/// The audience that is asked for if nobody said otherwise.
fn audience_or_default(audience: Option<String>) -> String {
    audience
        .or_else(|| Here.variable(AUDIENCE_VARIABLE))
        .unwrap_or_else(|| AUDIENCE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::tests::Elsewhere;

    /// (what is around, who recognises it, is something missing)
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
        bool,
    );

    const CASES: [Case; 27] = [
        (&[], &[], false),
        (
            &[("CI", "true"), ("HOME", "/root"), ("AWS_REGION", "eu-west-1")],
            &[],
            false,
        ),
        (
            &[
                ("GITHUB_ACTIONS", "true"),
                ("ACTIONS_ID_TOKEN_REQUEST_URL", "u"),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
            ],
            &["GitHub Actions"],
            false,
        ),
        (&[("GITHUB_ACTIONS", "true")], &["GitHub Actions"], true),
        (&[("GITHUB_ACTIONS", "false")], &[], false),
        (
            &[("GITLAB_CI", "true"), ("GITLAB_OIDC_TOKEN", "t")],
            &["GitLab CI"],
            false,
        ),
        (&[("GITLAB_CI", "true")], &["GitLab CI"], true),
        (&[("GITLAB_OIDC_TOKEN", "t")], &[], false),
        (
            &[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN", "t")],
            &["CircleCI"],
            false,
        ),
        (
            &[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", "t")],
            &["CircleCI"],
            false,
        ),
        (&[("CIRCLECI", "true")], &["CircleCI"], true),
        (
            &[
                ("BITBUCKET_BUILD_NUMBER", "1"),
                ("BITBUCKET_STEP_OIDC_TOKEN", "t"),
            ],
            &["Bitbucket Pipelines"],
            false,
        ),
        (&[("BITBUCKET_BUILD_NUMBER", "1")], &["Bitbucket Pipelines"], true),
        (
            &[("BUILDKITE", "true"), ("BUILDKITE_AGENT_ACCESS_TOKEN", "t")],
            &["Buildkite"],
            false,
        ),
        (&[("BUILDKITE", "true")], &["Buildkite"], true),
        (
            &[("TFC_RUN_ID", "run-1"), ("TFC_WORKLOAD_IDENTITY_TOKEN", "t")],
            &["HCP Terraform"],
            false,
        ),
        (&[("TFC_RUN_ID", "run-1")], &["HCP Terraform"], true),
        // Whether a request brings a token is not known before there is one.
        (&[("VERCEL", "1")], &["Vercel"], false),
        (&[("VERCEL_OIDC_TOKEN", "t")], &["Vercel"], false),
        (&[("VERCEL_OIDC_TOKEN_FILE", "f")], &["Vercel"], false),
        (&[("FLY_APP_NAME", "shop"), ("/.fly/api", "")], &["Fly.io"], false),
        // A program on a laptop that only talks about Fly.
        (&[("FLY_APP_NAME", "shop")], &[], false),
        (&[("GCE_METADATA_HOST", "127.0.0.1:1")], &["Google Cloud"], false),
        (
            &[("/sys/class/dmi/id/product_name", "Google Compute Engine")],
            &["Google Cloud"],
            false,
        ),
        (
            &[
                ("IDENTITY_ENDPOINT", "u"),
                ("IDENTITY_HEADER", "h"),
                ("PGIAM_OIDC_AUDIENCE", "api://a"),
            ],
            &["Azure"],
            false,
        ),
        (&[("AZURE_FEDERATED_TOKEN_FILE", "f")], &["Azure"], false),
        (
            &[(
                "/sys/class/dmi/id/chassis_asset_tag",
                "7783-7084-3265-9085-8269-3286-77",
            )],
            &["Azure"],
            true,
        ),
    ];

    #[test]
    fn platforms_are_recognised_by_their_own_marks_alone() {
        for (around, expected, broken) in CASES {
            let around = Elsewhere(around.to_vec());
            let found: Vec<(&str, Presence)> = KNOWN
                .iter()
                .filter_map(|known| Some((known.name, (known.detect)(&around)?)))
                .collect();
            let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, *expected, "{:?}", around.0);
            assert_eq!(
                found.iter().any(|(_, presence)| presence.missing.is_some()),
                broken,
                "{:?}",
                around.0
            );
        }
    }
}
