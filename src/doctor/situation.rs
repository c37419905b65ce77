//! What is known of one login: whom it is for, where it goes. Pure.

use crate::endpoint::{Endpoint, Kind};
use crate::partition;

/// Everything an explanation may want to name. What is not known is written as a placeholder.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub database: Option<String>,
    pub kind: Option<Kind>,
    pub region: Option<String>,
    pub cluster_id: Option<String>,
    /// What the auth token is signed for.
    pub signed: Option<(String, u16)>,
    pub account: Option<String>,
    /// The ARN that STS gives for the credentials.
    pub principal: Option<String>,
    /// What to do about a region whose RDS certificate authorities the trust file lacks.
    pub missing_ca: Option<String>,
    pub ca_file: Option<String>,
}

impl Situation {
    pub fn at(mut self, endpoint: &Endpoint) -> Self {
        self.host = Some(endpoint.host.clone());
        self.port = Some(endpoint.port);
        self.kind = Some(endpoint.kind);
        self.region = Some(endpoint.region.clone());
        self.cluster_id.clone_from(&endpoint.cluster_id);
        self.signed = Some((endpoint.token_host.clone(), endpoint.token_port));
        self
    }

    pub fn is_dsql(&self) -> bool {
        self.kind == Some(Kind::Dsql)
    }

    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("<user>")
    }

    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("<region>")
    }

    pub fn account(&self) -> &str {
        self.account.as_deref().unwrap_or("<account>")
    }

    pub fn address(&self) -> String {
        match (&self.host, self.port) {
            (Some(host), Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.clone(),
            (None, _) => "the server".to_owned(),
        }
    }

    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("the server")
    }

    pub fn principal(&self) -> String {
        self.principal
            .clone()
            .unwrap_or_else(|| "these credentials".to_owned())
    }

    fn partition(&self) -> &'static str {
        self.region
            .as_deref()
            .map_or("aws", |region| partition::of_region(region).name)
    }

    /// What the policy must allow.
    pub fn action(&self) -> &'static str {
        match (self.kind, self.user()) {
            (Some(Kind::Dsql), "admin") => "dsql:DbConnectAdmin",
            (Some(Kind::Dsql), _) => "dsql:DbConnect",
            _ => "rds-db:connect",
        }
    }

    /// The id that stands in a policy is not part of the host name, except for DSQL.
    pub fn resource(&self) -> String {
        let (partition, region, account) = (self.partition(), self.region(), self.account());
        if self.is_dsql() {
            let id = self.cluster_id.as_deref().unwrap_or("<cluster-id>");
            return format!("arn:{partition}:dsql:{region}:{account}:cluster/{id}");
        }
        let id = match self.kind {
            Some(Kind::RdsProxy) => "<prx-id>",
            _ if self.signed_host().is_some_and(|host| host.contains(".cluster-")) => "<cluster-id>",
            _ => "<db-id>",
        };
        format!(
            "arn:{partition}:rds-db:{region}:{account}:dbuser:{id}/{}",
            self.user()
        )
    }

    pub fn policy(&self) -> String {
        format!(
            "{{\n  \"Effect\": \"Allow\",\n  \"Action\": \"{}\",\n  \"Resource\": \"{}\"\n}}",
            self.action(),
            json_escaped(&self.resource())
        )
    }

    /// The command that shows the id which the policy wants.
    pub fn resource_lookup(&self) -> Option<String> {
        let region = self.region();
        let host = self.signed_host()?;
        let name = host.split('.').next().unwrap_or(host);
        match self.kind? {
            Kind::Dsql => None,
            Kind::RdsProxy => Some(format!(
                "aws rds describe-db-proxies --region {region} --db-proxy-name {name} \\\n  \
                 --query 'DBProxies[].DBProxyArn'   # the id begins with prx-"
            )),
            Kind::Rds if host.contains(".cluster-") => Some(format!(
                "aws rds describe-db-clusters --region {region} \\\n  --db-cluster-identifier {name} \\\n  \
                 --query 'DBClusters[].DbClusterResourceId'"
            )),
            Kind::Rds => Some(format!(
                "aws rds describe-db-instances --region {region} \\\n  --db-instance-identifier {name} \\\n  \
                 --query 'DBInstances[].DbiResourceId'"
            )),
        }
    }

    pub fn signed_host(&self) -> Option<&str> {
        self.signed.as_ref().map(|(host, _)| host.as_str())
    }

    /// What the database itself must be told of the user.
    pub fn grant(&self) -> String {
        let user = quoted(self.user());
        if self.is_dsql() {
            let role = self.role_arn().replace('\'', "''");
            return format!("AWS IAM GRANT {user} TO '{role}';");
        }
        format!("GRANT rds_iam TO {user};")
    }

    /// Of an assumed role's session, the role: that is what DSQL knows.
    pub fn role_arn(&self) -> String {
        let Some(principal) = &self.principal else {
            return format!("arn:{}:iam::{}:role/<role>", self.partition(), self.account());
        };
        let mut parts = principal.splitn(6, ':');
        let (Some(arn), Some(partition), Some("sts"), Some(_), Some(account), Some(rest)) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return principal.clone();
        };
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            // The session's ARN leaves the role's path out.
            ["assumed-role", role, _session] => format!("{arn}:{partition}:iam::{account}:role/{role}"),
            _ => principal.clone(),
        }
    }
}

/// As an SQL identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn json_escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(kind: Kind, signed: &str, user: &str) -> Situation {
        Situation {
            kind: Some(kind),
            user: Some(user.to_owned()),
            region: Some("eu-central-1".to_owned()),
            account: Some("123456789012".to_owned()),
            signed: Some((signed.to_owned(), 5432)),
            cluster_id: (kind == Kind::Dsql).then(|| "abcdefghijklmnopqrstuvwxy1".to_owned()),
            principal: Some("arn:aws:sts::123456789012:assumed-role/app/session".to_owned()),
            ..Situation::default()
        }
    }

    #[test]
    fn policies_and_grants() {
        let rds = "db.abc.eu-central-1.rds.amazonaws.com";
        let aurora = "db.cluster-abc.eu-central-1.rds.amazonaws.com";
        let proxy = "db.proxy-abc.eu-central-1.rds.amazonaws.com";
        let dsql = "abcdefghijklmnopqrstuvwxy1.dsql.eu-central-1.on.aws";
        for (kind, host, user, action, resource, grant) in [
            (
                Kind::Rds,
                rds,
                "app",
                "rds-db:connect",
                "rds-db:eu-central-1:123456789012:dbuser:<db-id>/app",
                "GRANT rds_iam TO \"app\";",
            ),
            (
                Kind::Rds,
                aurora,
                "a\"b",
                "rds-db:connect",
                "rds-db:eu-central-1:123456789012:dbuser:<cluster-id>/a\"b",
                "GRANT rds_iam TO \"a\"\"b\";",
            ),
            (
                Kind::RdsProxy,
                proxy,
                "app",
                "rds-db:connect",
                "rds-db:eu-central-1:123456789012:dbuser:<prx-id>/app",
                "GRANT rds_iam TO \"app\";",
            ),
            (
                Kind::Dsql,
                dsql,
                "admin",
                "dsql:DbConnectAdmin",
                "dsql:eu-central-1:123456789012:cluster/abcdefghijklmnopqrstuvwxy1",
                "AWS IAM GRANT \"admin\" TO 'arn:aws:iam::123456789012:role/app';",
            ),
            (
                Kind::Dsql,
                dsql,
                "app",
                "dsql:DbConnect",
                "dsql:eu-central-1:123456789012:cluster/abcdefghijklmnopqrstuvwxy1",
                "AWS IAM GRANT \"app\" TO 'arn:aws:iam::123456789012:role/app';",
            ),
        ] {
            let known = situation(kind, host, user);
            assert_eq!(known.action(), action);
            assert_eq!(known.resource(), format!("arn:aws:{resource}"));
            assert_eq!(known.grant(), grant);
        }
        assert!(
            situation(Kind::Rds, aurora, "a\"b")
                .policy()
                .contains("/a\\\"b\"")
        );
    }

    #[test]
    fn what_is_not_known_is_a_placeholder() {
        let nothing = Situation::default();
        assert_eq!(
            nothing.resource(),
            "arn:aws:rds-db:<region>:<account>:dbuser:<db-id>/<user>"
        );
        assert_eq!(nothing.role_arn(), "arn:aws:iam::<account>:role/<role>");
        let china = Situation {
            region: Some("cn-north-1".to_owned()),
            ..Situation::default()
        };
        assert!(china.resource().starts_with("arn:aws-cn:rds-db:cn-north-1:"));
    }

    #[test]
    fn only_sessions_of_roles_have_a_role() {
        for (principal, role) in [
            ("arn:aws:iam::1:user/dev", "arn:aws:iam::1:user/dev"),
            (
                "arn:aws-cn:sts::1:assumed-role/app/s",
                "arn:aws-cn:iam::1:role/app",
            ),
            (
                "arn:aws:sts::1:federated-user/x",
                "arn:aws:sts::1:federated-user/x",
            ),
        ] {
            let known = Situation {
                principal: Some(principal.to_owned()),
                ..Situation::default()
            };
            assert_eq!(known.role_arn(), role);
        }
    }
}
