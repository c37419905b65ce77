//! What is asked of STS, checked before it is asked. Pure.
//!
//! Limits: AWS STS API reference, AssumeRole and AssumeRoleWithWebIdentity.

use crate::error::{Error, Result, shown};
use crate::identity_token::Claims;
use crate::json::Object;
use crate::partition;
use crate::surroundings::Surroundings;

pub const CHAINED_LIMIT: u32 = 3600;
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
const MAX_SESSION_NAME: usize = 64;

/// Which role, and how its session shall be.
#[derive(Clone, Debug)]
pub struct RoleRequest {
    pub role_arn: String,
    pub session_name: Option<String>,
    pub duration: Option<u32>,
    pub policy: Option<String>,
    pub policy_arns: Vec<String>,
    pub region: Option<String>,
}

impl RoleRequest {
    pub fn new(role_arn: String) -> Result<Self> {
        check_role_arn(&role_arn)?;
        Ok(Self {
            role_arn,
            session_name: None,
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
            region: None,
        })
    }

    pub fn check(self) -> Result<Self> {
        if let Some(name) = &self.session_name {
            check_word("session_name", name, 2, MAX_SESSION_NAME, "")?;
        }
        if let Some(duration) = self.duration
            && !(900..=43_200).contains(&duration)
        {
            return Err(Error::configuration(
                format!("duration={duration} is out of range"),
                "Pass 900 to 43200 seconds (and no more than the role's MaxSessionDuration), or leave it out.",
            ));
        }
        if let Some(policy) = &self.policy
            && (policy.len() > 2048 || Object::parse(policy.as_bytes()).is_none())
        {
            return Err(Error::configuration(
                "policy is no JSON object of 2048 characters at most",
                "Pass the session policy as JSON text, as json.dumps writes it; managed ones go to policy_arns=.",
            ));
        }
        if self.policy_arns.len() > 10 {
            return Err(Error::configuration(
                format!("policy_arns has {} entries; STS takes 10", self.policy_arns.len()),
                "Pass 10 managed policies at most.",
            ));
        }
        if let Some(wrong) = self.policy_arns.iter().find(|arn| !is_policy_arn(arn)) {
            return Err(Error::configuration(
                format!("{} is no ARN of a managed policy", shown(wrong)),
                "Such ARNs read arn:aws:iam::<account>:policy/<name>.",
            ));
        }
        if let Some(region) = &self.region {
            self.check_region(&region.to_ascii_lowercase())?;
        }
        Ok(self)
    }

    fn check_region(&self, region: &str) -> Result<()> {
        if !partition::looks_like_region(region) {
            return Err(Error::configuration(
                format!("{} is no AWS region", shown(region)),
                "Regions read like us-east-1 or eu-central-2; leave region out for the environment's.",
            ));
        }
        let home = partition::of_region(self.home_region());
        if partition::of_region(region) != home {
            return Err(Error::configuration(
                format!(
                    "region {region} is not in partition {}, where the role is",
                    home.name
                ),
                format!("Pass a region of {}, or leave region out.", home.name),
            ));
        }
        Ok(())
    }

    /// A region whose STS can answer for this role, should nobody name one. Credentials are the same
    /// wherever they are issued, so this is no guess at where the database is.
    pub fn home_region(&self) -> &'static str {
        match self.role_arn.split(':').nth(1).unwrap_or_default() {
            "aws-cn" => "cn-north-1",
            "aws-us-gov" => "us-gov-west-1",
            "aws-iso" => "us-iso-east-1",
            "aws-iso-b" => "us-isob-east-1",
            "aws-iso-e" => "eu-isoe-west-1",
            "aws-iso-f" => "us-isof-south-1",
            "aws-eusc" => "eusc-de-east-1",
            _ => "us-east-1",
        }
    }

    /// The name under which CloudTrail shows the session: says what runs, and where.
    pub fn session_name(&self, claims: Option<&Claims>, surroundings: &dyn Surroundings) -> String {
        if let Some(name) = &self.session_name {
            return name.clone();
        }
        if let Some(name) = surroundings.variable(SESSION_NAME) {
            return made_valid(&name);
        }
        let workload = claims.and_then(|claims| claims.workload.clone()).or_else(|| {
            [
                "BITBUCKET_REPO_FULL_NAME",
                "CIRCLE_PROJECT_REPONAME",
                "AWS_LAMBDA_FUNCTION_NAME",
                "HOSTNAME",
            ]
            .iter()
            .find_map(|name| surroundings.variable(name))
        });
        match workload {
            Some(workload) => made_valid(&format!("pgiam-{workload}")),
            None => "pgiam".to_owned(),
        }
    }
}

/// What AssumeRole takes besides.
#[derive(Clone, Debug, Default)]
pub struct AssumeOptions {
    pub external_id: Option<String>,
    pub tags: Vec<(String, String)>,
    pub source_identity: Option<String>,
}

impl AssumeOptions {
    pub fn check(self) -> Result<Self> {
        if let Some(id) = &self.external_id {
            check_word("external_id", id, 2, 1224, ":/")?;
        }
        if let Some(identity) = &self.source_identity {
            check_word("source_identity", identity, 2, 64, "")?;
        }
        let wrong = |(key, value): &&(String, String)| {
            key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256
        };
        if let Some((key, _)) = self.tags.iter().find(wrong) {
            return Err(Error::configuration(
                format!("tag {} is too long, or has no name", shown(key)),
                "Tag names have 1 to 128 characters, values 256 at most.",
            ));
        }
        if self.tags.len() > 50 {
            return Err(Error::configuration(
                format!("tags has {} entries; STS takes 50", self.tags.len()),
                "Pass 50 tags at most.",
            ));
        }
        Ok(self)
    }
}

/// A role that was assumed with another role's session lasts an hour at most.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining>
pub fn check_chained(duration: Option<u32>) -> Result<()> {
    match duration {
        Some(duration) if duration > CHAINED_LIMIT => Err(Error::configuration(
            format!("duration={duration} is too long for role chaining: a role assumed by a role's session"),
            "Pass 3600 seconds at most, or leave duration out; pgiam renews the session before it ends.",
        )),
        _ => Ok(()),
    }
}

fn check_role_arn(arn: &str) -> Result<()> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let wrong = |why: &str| {
        Err(Error::configuration(
            format!("role_arn {} {why}", shown(arn)),
            "Role ARNs read arn:aws:iam::<12 digits>:role/<name>; the IAM console shows the role's.",
        ))
    };
    let ["arn", partition, service, "", account, resource] = parts.as_slice() else {
        return wrong("is no role's ARN");
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    if *service == "sts" && resource.starts_with("assumed-role/") {
        return wrong("is a session's, not the role's");
    }
    if resource.starts_with("instance-profile/") {
        return wrong("is an instance profile's, not the role's");
    }
    let name = resource.strip_prefix("role/").unwrap_or_default();
    // Paths may hold every printable ASCII character.
    let is_name = !name.is_empty() && !name.ends_with('/') && name.bytes().all(|b| b.is_ascii_graphic());
    if *service != "iam" || !partition.starts_with("aws") || !is_account || !is_name || arn.len() > 2048 {
        return wrong("is no role's ARN");
    }
    Ok(())
}

fn is_policy_arn(arn: &str) -> bool {
    arn.len() >= 20 && arn.len() <= 2048 && arn.starts_with("arn:") && arn.contains(":policy/")
}

/// STS's pattern `[\w+=,.@-]*`, and what else a parameter may have.
fn is_word_character(character: char, more: &str) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character) || more.contains(character)
}

fn check_word(option: &str, value: &str, min: usize, max: usize, more: &str) -> Result<()> {
    let fits = (min..=max).contains(&value.len()) && value.chars().all(|c| is_word_character(c, more));
    if fits {
        return Ok(());
    }
    Err(Error::configuration(
        format!("{option} {} is not what STS takes", shown(value)),
        format!("Pass {min} to {max} letters, digits and characters of _+=,.@-{more}."),
    ))
}

fn made_valid(name: &str) -> String {
    let mut valid: String = name
        .chars()
        .map(|c| if is_word_character(c, "") { c } else { '-' })
        .take(MAX_SESSION_NAME)
        .collect();
    while valid.len() < 2 {
        valid.push('-');
    }
    valid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::tests::Elsewhere;

    const ROLE: &str = "arn:aws:iam::123456789012:role/app";

    #[test]
    fn role_arns() {
        for (arn, right) in [
            (ROLE, true),
            ("arn:aws:iam::123456789012:role/path/to/app", true),
            ("arn:aws-cn:iam::123456789012:role/app", true),
            ("arn:aws-us-gov:iam::123456789012:role/a+b=c,d.e@f-g_h", true),
            ("app", false),
            ("", false),
            ("arn:aws:iam::12345678901:role/app", false),
            ("arn:aws:iam::12345678901a:role/app", false),
            ("arn:aws:iam:us-east-1:123456789012:role/app", false),
            ("arn:aws:iam::123456789012:user/app", false),
            ("arn:aws:iam::123456789012:role/", false),
            ("arn:aws:iam::123456789012:role/a b", false),
            ("arn:aws:iam::123456789012:role/app\n", false),
            ("arn:aws:sts::123456789012:assumed-role/app/session", false),
            ("arn:aws:iam::123456789012:instance-profile/app", false),
        ] {
            assert_eq!(RoleRequest::new(arn.to_owned()).is_ok(), right, "{arn}");
        }
        let session = RoleRequest::new("arn:aws:sts::123456789012:assumed-role/a/b".to_owned()).unwrap_err();
        assert!(
            session.message.contains("a session's, not the role's"),
            "{}",
            session.message
        );
    }

    #[test]
    fn requests_are_checked_before_sts_sees_them() {
        let base = RoleRequest::new(ROLE.to_owned()).unwrap();
        let with = |change: fn(&mut RoleRequest)| {
            let mut request = base.clone();
            change(&mut request);
            request.check().is_ok()
        };
        assert!(with(|_| {}));
        assert!(with(|r| r.session_name = Some("a@b=c,d.e-f_g+H".into())));
        assert!(!with(|r| r.session_name = Some("a".into())));
        assert!(!with(|r| r.session_name = Some("a/b".into())));
        assert!(!with(|r| r.session_name = Some("é".repeat(3))));
        assert!(!with(|r| r.session_name = Some("a".repeat(65))));
        assert!(with(|r| r.duration = Some(900)));
        assert!(with(|r| r.duration = Some(43_200)));
        assert!(!with(|r| r.duration = Some(899)));
        assert!(!with(|r| r.duration = Some(43_201)));
        assert!(with(
            |r| r.policy = Some(r#"{"Version":"2012-10-17","Statement":[]}"#.into())
        ));
        assert!(!with(|r| r.policy = Some("no json".into())));
        assert!(!with(
            |r| r.policy = Some(format!("{{\"a\":\"{}\"}}", "b".repeat(2048)))
        ));
        assert!(with(
            |r| r.policy_arns = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into(); 10]
        ));
        assert!(!with(
            |r| r.policy_arns = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into(); 11]
        ));
        assert!(!with(|r| r.policy_arns = vec!["ReadOnlyAccess".into()]));
        assert!(with(|r| r.region = Some("EU-West-1".into())));
        assert!(!with(|r| r.region = Some("nowhere".into())));
        assert!(!with(|r| r.region = Some("cn-north-1".into())));
        assert!(check_chained(Some(3600)).is_ok() && check_chained(None).is_ok());
        assert!(check_chained(Some(3601)).is_err());
    }

    #[test]
    fn assume_options() {
        let ok = |options: AssumeOptions| options.check().is_ok();
        assert!(ok(AssumeOptions::default()));
        let external = |id: &str| AssumeOptions {
            external_id: Some(id.into()),
            ..AssumeOptions::default()
        };
        assert!(ok(external("tenant:42/a")));
        assert!(!ok(external("x")));
        assert!(!ok(external("a b")));
        let tags = |count: usize, key: &str| AssumeOptions {
            tags: vec![(key.to_owned(), String::new()); count],
            ..AssumeOptions::default()
        };
        assert!(ok(tags(50, "team")));
        assert!(!ok(tags(51, "team")));
        assert!(!ok(tags(1, "")));
        assert!(!ok(tags(1, &"k".repeat(129))));
    }

    #[test]
    fn session_names_say_what_runs() {
        let mut request = RoleRequest::new(ROLE.to_owned()).unwrap();
        let claims = Claims {
            workload: Some("acme/shop".to_owned()),
            ..Claims::default()
        };
        let nowhere = Elsewhere(vec![]);
        let host = Elsewhere(vec![("HOSTNAME", "web-1.internal")]);
        let named = Elsewhere(vec![("AWS_ROLE_SESSION_NAME", "é"), ("HOSTNAME", "web-1")]);
        assert_eq!(request.session_name(Some(&claims), &host), "pgiam-acme-shop");
        assert_eq!(request.session_name(None, &host), "pgiam-web-1.internal");
        assert_eq!(request.session_name(None, &nowhere), "pgiam");
        assert_eq!(request.session_name(Some(&claims), &named), "--");
        let long = Claims {
            workload: Some("ü".repeat(100)),
            ..Claims::default()
        };
        let made = request.session_name(Some(&long), &nowhere);
        assert!(check_word("session_name", &made, 2, 64, "").is_ok(), "{made}");
        request.session_name = Some("mine".to_owned());
        assert_eq!(request.session_name(Some(&claims), &named), "mine");
    }

    #[test]
    fn the_partition_of_the_role_has_its_own_sts() {
        for (arn, region) in [
            (ROLE, "us-east-1"),
            ("arn:aws-cn:iam::123456789012:role/app", "cn-north-1"),
            ("arn:aws-us-gov:iam::123456789012:role/app", "us-gov-west-1"),
            ("arn:aws-eusc:iam::123456789012:role/app", "eusc-de-east-1"),
        ] {
            assert_eq!(RoleRequest::new(arn.to_owned()).unwrap().home_region(), region);
        }
    }
}
