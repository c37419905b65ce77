//! Platforms that put the token into a variable when the job starts. It is not renewed there: a job that
//! outlives its token has to say so.

use super::{Platform, Presence};
use crate::error::{Error, Kind};
use crate::identity_token::{IdentityToken, TokenFetch};
use crate::surroundings::{Here, Surroundings};

/// The first of `variables` that is set.
fn from(variables: &[&str], hint: &str) -> TokenFetch {
    let found = variables
        .iter()
        .find_map(|name| Some((name, Here.variable(name)?)));
    let answer = match found {
        Some((name, value)) => IdentityToken::parse(value, &format!("variable {name}")),
        None => Err(Error::new(
            Kind::IdentityToken,
            format!("{} is not set", variables.join(" or ")),
            hint,
        )),
    };
    Box::pin(std::future::ready(answer.map_err(Into::into)))
}

/// Here if `marker` is set; complete if one of `variables` is.
fn detected(
    surroundings: &dyn Surroundings,
    marker: &str,
    variables: &[&str],
    missing: &'static str,
) -> Option<Presence> {
    let value = surroundings.variable(marker)?;
    let complete = variables.iter().any(|name| surroundings.is_set(name));
    let because = if value == "true" {
        format!("{marker}=true")
    } else {
        format!("{marker} is set")
    };
    Some(Presence::new(because, (!complete).then_some(missing)))
}

/// Any variable.
#[derive(Clone)]
pub struct Variable(pub String);

impl Platform for Variable {
    fn name(&self) -> String {
        format!("variable {}", self.0)
    }

    fn detect(_: &dyn Surroundings) -> Option<Presence> {
        None
    }

    fn fetch(&self) -> TokenFetch {
        from(
            &[&self.0],
            "Set the variable to the OIDC ID token, or name another.",
        )
    }
}

/// <https://docs.gitlab.com/ci/secrets/id_token_authentication/>: the job names the variable itself.
#[derive(Clone)]
pub struct GitLab(String);

impl GitLab {
    const VARIABLE: &str = "GITLAB_OIDC_TOKEN";

    pub fn new(variable: Option<String>) -> Self {
        Self(variable.unwrap_or_else(|| Self::VARIABLE.to_owned()))
    }
}

impl Platform for GitLab {
    fn name(&self) -> String {
        "GitLab CI".to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        let missing = "the job has no `id_tokens: GITLAB_OIDC_TOKEN: aud: sts.amazonaws.com`";
        detected(surroundings, "GITLAB_CI", &[Self::VARIABLE], missing)
    }

    fn fetch(&self) -> TokenFetch {
        let hint =
            "Give the job `id_tokens: GITLAB_OIDC_TOKEN: aud: sts.amazonaws.com`, or name your variable.";
        from(&[&self.0], hint)
    }
}

/// <https://circleci.com/docs/openid-connect-tokens/>
#[derive(Clone)]
pub struct CircleCi;

impl CircleCi {
    const VARIABLES: [&str; 2] = ["CIRCLE_OIDC_TOKEN_V2", "CIRCLE_OIDC_TOKEN"];
}

impl Platform for CircleCi {
    fn name(&self) -> String {
        "CircleCI".to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        detected(
            surroundings,
            "CIRCLECI",
            &Self::VARIABLES,
            "the job uses no context",
        )
    }

    fn fetch(&self) -> TokenFetch {
        from(
            &Self::VARIABLES,
            "Let the job use at least one context: only then does CircleCI issue a token.",
        )
    }
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/deploy-on-aws-using-bitbucket-pipelines-openid-connect/>
#[derive(Clone)]
pub struct Bitbucket;

impl Bitbucket {
    const VARIABLES: [&str; 1] = ["BITBUCKET_STEP_OIDC_TOKEN"];
}

impl Platform for Bitbucket {
    fn name(&self) -> String {
        "Bitbucket Pipelines".to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        detected(
            surroundings,
            "BITBUCKET_BUILD_NUMBER",
            &Self::VARIABLES,
            "the step has no `oidc: true`",
        )
    }

    fn fetch(&self) -> TokenFetch {
        from(&Self::VARIABLES, "Give the step `oidc: true`.")
    }
}

/// <https://developer.hashicorp.com/terraform/cloud-docs/workspaces/dynamic-provider-credentials/manual-generation>
#[derive(Clone)]
pub struct TerraformCloud(String);

impl TerraformCloud {
    const VARIABLE: &str = "TFC_WORKLOAD_IDENTITY_TOKEN";

    pub fn new(tag: Option<&str>) -> Self {
        Self(match tag {
            Some(tag) => format!("{}_{tag}", Self::VARIABLE),
            None => Self::VARIABLE.to_owned(),
        })
    }
}

impl Platform for TerraformCloud {
    fn name(&self) -> String {
        "HCP Terraform".to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        let missing = "the workspace does not set TFC_WORKLOAD_IDENTITY_AUDIENCE";
        detected(surroundings, "TFC_RUN_ID", &[Self::VARIABLE], missing)
    }

    fn fetch(&self) -> TokenFetch {
        let hint = "Set TFC_WORKLOAD_IDENTITY_AUDIENCE (with its tag, if you use one) in the workspace.";
        from(&[&self.0], hint)
    }
}
