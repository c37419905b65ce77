//! A file that somebody keeps fresh (kubelet, Fly's init): read anew each time.
//! <https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html>

use std::fs::File;
use std::io::Read;

use zeroize::Zeroizing;

use super::{Platform, Presence};
use crate::error::{Error, Kind, Result, shown};
use crate::identity_token::{IdentityToken, TokenFetch};
use crate::secret::Secret;
use crate::surroundings::{Here, Surroundings};

pub const PATH: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const MAX_SIZE: u64 = 64 * 1024;
const HINT: &str =
    "Point AWS_WEB_IDENTITY_TOKEN_FILE, or path=, to the file that the platform writes the token to.";

#[derive(Clone)]
pub struct WebIdentityFile {
    path: Option<String>,
}

impl WebIdentityFile {
    pub fn new(path: Option<String>) -> Self {
        Self { path }
    }
}

impl Platform for WebIdentityFile {
    fn name(&self) -> String {
        match &self.path {
            Some(path) => format!("file {}", shown(path)),
            None => format!("file of {PATH}"),
        }
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        let path = surroundings.variable(PATH)?;
        Some(Presence::new(format!("{PATH}={}", shown(&path)), None))
    }

    fn fetch(&self) -> TokenFetch {
        let path = self.path.clone().or_else(|| Here.variable(PATH));
        Box::pin(async move {
            // A file on a network may hang.
            let read = tokio::task::spawn_blocking(move || read(path));
            let read = read
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            Ok(read?)
        })
    }
}

fn read(path: Option<String>) -> Result<IdentityToken> {
    let wrong = |message: String| Error::new(Kind::IdentityToken, message, HINT);
    let path = path.ok_or_else(|| wrong(format!("{PATH} is not set")))?;
    let unreadable = |error: std::io::Error| {
        wrong(format!(
            "the identity token file {} cannot be read: {error}",
            shown(&path)
        ))
    };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(&path).map_err(unreadable)?;
    file.take(MAX_SIZE)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    IdentityToken::parse(Secret::from(text.as_str()), &format!("file {}", shown(&path)))
}
