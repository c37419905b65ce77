//! TLS to a PostgreSQL server, and a look at what the server shows. A connection that does not verify is
//! never used: the handshake fails, and only what was seen remains.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const ALPN: &[u8] = b"postgresql";

#[derive(Debug)]
pub enum Trouble {
    /// The server answered the SSLRequest with no.
    NotOffered,
    /// It answered with an error message instead.
    Said(String),
    /// It accepted the connection and ended it before the answer.
    ResetBefore,
    Silent,
    NotPostgres,
    Closed,
    TimedOut,
    Certificate(CertificateError),
    /// A certificate authority in the place of a server's certificate, most often a self-signed one.
    Other(String),
    TrustFile(String),
}

/// What the server showed; also where the handshake failed.
#[derive(Debug, Default)]
pub struct Seen {
    pub chain: Vec<CertificateDer<'static>>,
    pub version: Option<&'static str>,
    pub cipher: Option<String>,
}

pub struct Roots {
    pub store: RootCertStore,
    pub verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

pub fn roots(pem: &[u8]) -> Result<Roots, String> {
    let mut store = RootCertStore::empty();
    let mut unreadable = 0;
    for der in CertificateDer::pem_slice_iter(pem) {
        match der {
            Ok(der) => unreadable += usize::from(store.add(der).is_err()),
            Err(_) => return Err("it is damaged".to_owned()),
        }
    }
    if store.is_empty() {
        return Err(match unreadable {
            0 => "it holds no PEM certificate".to_owned(),
            _ => format!("none of its {unreadable} certificates can be used"),
        });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store.clone()), Arc::clone(&provider)).build();
    Ok(Roots {
        store,
        verifier: verifier.map_err(|error| error.to_string())?,
        provider,
    })
}

/// Asks for TLS as PostgreSQL clients do, or begins with it at once (`direct`, PostgreSQL 17 and Aurora DSQL).
pub async fn handshake(
    mut stream: TcpStream,
    host: &str,
    roots: &Roots,
    direct: bool,
    deadline: Instant,
) -> (Seen, Result<TlsStream<TcpStream>, Trouble>) {
    let mut seen = Seen::default();
    if !direct && let Err(trouble) = ask_for_tls(&mut stream, deadline).await {
        return (seen, Err(trouble));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return (
            seen,
            Err(Trouble::Other(format!(
                "{host} is no name that a certificate could have"
            ))),
        );
    };
    let chain = Arc::new(Mutex::new(Vec::new()));
    let verifier = Recording {
        verifier: Arc::clone(&roots.verifier),
        chain: Arc::clone(&chain),
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(&roots.provider))
        .with_safe_default_protocol_versions()
        .map(|builder| {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        });
    let mut config = match config {
        Ok(config) => config,
        Err(error) => return (seen, Err(Trouble::Other(error.to_string()))),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let result = timeout_at(deadline, connecting).await;
    seen.chain = std::mem::take(&mut *chain.lock().unwrap_or_else(PoisonError::into_inner));
    let stream = match result {
        Err(_) => return (seen, Err(Trouble::TimedOut)),
        Ok(Err(error)) => return (seen, Err(trouble(&error))),
        Ok(Ok(stream)) => stream,
    };
    let (_, connection) = stream.get_ref();
    if direct && connection.alpn_protocol() != Some(ALPN) {
        return (seen, Err(Trouble::NotOffered));
    }
    seen.version = connection.protocol_version().map(|version| match version {
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        _ => "TLS",
    });
    let suite = connection.negotiated_cipher_suite();
    seen.cipher = suite.and_then(|suite| suite.suite().as_str().map(str::to_owned));
    (seen, Ok(stream))
}

async fn ask_for_tls(stream: &mut TcpStream, deadline: Instant) -> Result<(), Trouble> {
    let asking = async {
        stream.write_all(&SSL_REQUEST).await?;
        stream.read_u8().await
    };
    match timeout_at(deadline, asking).await {
        Err(_) => Err(Trouble::Silent),
        Ok(Ok(b'S')) => Ok(()),
        Ok(Ok(b'N')) => Err(Trouble::NotOffered),
        Ok(Ok(b'E')) => Err(Trouble::Said(error_text(stream, deadline).await)),
        Ok(Ok(_)) => Err(Trouble::NotPostgres),
        Ok(Err(_)) => Err(Trouble::ResetBefore),
    }
}

/// A server that is out of processes answers with an error before there is TLS. Nothing in it is believed:
/// it is shown as what it is (CVE-2024-10977).
async fn error_text(stream: &mut TcpStream, deadline: Instant) -> String {
    let mut rest = Vec::new();
    let mut limited = stream.take(1024);
    let _ = timeout_at(deadline, limited.read_to_end(&mut rest)).await;
    let fields = rest.get(4..).unwrap_or_default().split(|byte| *byte == 0);
    let message = fields
        .filter_map(|field| field.strip_prefix(b"M"))
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .next();
    crate::error::shown(&message.unwrap_or_default())
}

fn trouble(error: &io::Error) -> Trouble {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            Trouble::Other(other.to_string())
        }
        Some(rustls::Error::InvalidCertificate(problem)) => Trouble::Certificate(problem.clone()),
        Some(other) => Trouble::Other(other.to_string()),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Trouble::Closed,
            io::ErrorKind::TimedOut => Trouble::TimedOut,
            _ => Trouble::Other(error.to_string()),
        },
    }
}

/// Decides as rustls does, and remembers what it was shown.
#[derive(Debug)]
struct Recording {
    verifier: Arc<WebPkiServerVerifier>,
    chain: Arc<Mutex<Vec<CertificateDer<'static>>>>,
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        *chain = [end_entity]
            .into_iter()
            .chain(intermediates)
            .map(|der| der.clone().into_owned())
            .collect();
        drop(chain);
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
