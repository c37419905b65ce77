//! What the doctor says: one diagnosis per stage.

/// In the order in which they are examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Environment,
    Credentials,
    Clock,
    Endpoint,
    Dns,
    Tcp,
    Tls,
    Token,
    Login,
    Session,
}

pub const STAGES: [Stage; 10] = [
    Stage::Environment,
    Stage::Credentials,
    Stage::Clock,
    Stage::Endpoint,
    Stage::Dns,
    Stage::Tcp,
    Stage::Tls,
    Stage::Token,
    Stage::Login,
    Stage::Session,
];

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::Environment => "environment",
            Stage::Credentials => "credentials",
            Stage::Clock => "clock",
            Stage::Endpoint => "endpoint",
            Stage::Dns => "dns",
            Stage::Tcp => "tcp",
            Stage::Tls => "tls",
            Stage::Token => "token",
            Stage::Login => "login",
            Stage::Session => "session",
        }
    }

    /// What `pgiam doctor` exits with if this is the first stage that failed. Documented, so never renumbered.
    pub fn exit_status(self) -> u8 {
        10 + self as u8
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    Warning,
    Failure,
    Skipped,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failure => "failure",
            Status::Skipped => "skipped",
        }
    }
}

/// Something for programs to read. Never a secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nothing,
    Flag(bool),
    Whole(i64),
    Text(String),
    List(Vec<Value>),
    Table(Vec<(&'static str, Value)>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Flag(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Whole(value)
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Value::Whole(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Nothing, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

/// Something to copy: an IAM policy statement, SQL, a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    pub label: &'static str,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    pub stage: Stage,
    pub status: Status,
    /// The cause, such as `tls.expired`; `<stage>.ok` where there is nothing to say.
    pub name: &'static str,
    /// One line.
    pub title: String,
    /// What was seen, line by line.
    pub detail: Vec<String>,
    pub why: String,
    pub fix: String,
    pub snippets: Vec<Snippet>,
    pub data: Vec<(&'static str, Value)>,
}

impl Diagnosis {
    pub fn new(stage: Stage, status: Status, name: &'static str, title: impl Into<String>) -> Self {
        Self {
            stage,
            status,
            name,
            title: title.into(),
            detail: Vec::new(),
            why: String::new(),
            fix: String::new(),
            snippets: Vec::new(),
            data: Vec::new(),
        }
    }

    pub fn skipped(stage: Stage, because: impl Into<String>) -> Self {
        let name = match stage {
            Stage::Environment => "environment.skipped",
            Stage::Credentials => "credentials.skipped",
            Stage::Clock => "clock.skipped",
            Stage::Endpoint => "endpoint.skipped",
            Stage::Dns => "dns.skipped",
            Stage::Tcp => "tcp.skipped",
            Stage::Tls => "tls.skipped",
            Stage::Token => "token.skipped",
            Stage::Login => "login.skipped",
            Stage::Session => "session.skipped",
        };
        Self::new(stage, Status::Skipped, name, because)
    }

    pub fn saw(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }

    pub fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.data.push((name, value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_told_apart_and_stay() {
        let statuses: Vec<u8> = STAGES.iter().map(|stage| stage.exit_status()).collect();
        assert_eq!(statuses, (10..20).collect::<Vec<u8>>());
    }
}
