//! A started shell's terminal as raw bytes, both ways.
//!
//! bollard parses an exec's output as framed even where a terminal has no frames, so that a student's program which
//! prints the byte 1 and a length could make the agent wait for, and keep, gigabytes. Here nothing is parsed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Docker;
use super::errors::CHANGE_LIMIT;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::settings::TlsSettings;

/// Most of an engine's complaint that is read.
const COMPLAINT_MAX: usize = 16 * 1024;
/// What an exec with a terminal is started with.
const START: &str = r#"{"Detach":false,"Tty":true}"#;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection of any kind to the engine.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Docker {
    /// Starts an exec that was made with a terminal, and gives its two-way stream.
    ///
    /// # Errors
    /// When the engine does not answer or refuses.
    pub(super) async fn start_raw(&self, exec: &str) -> Result<TokioIo<Upgraded>, Fault> {
        let started = tokio::time::timeout(CHANGE_LIMIT, self.upgrade(exec)).await;
        let failure = match started {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => format!("nothing within {} s", CHANGE_LIMIT.as_secs()),
        };
        Err(Fault::new(FaultCode::Engine, format!("starting a shell: {failure}")))
    }

    async fn upgrade(&self, exec: &str) -> Result<TokioIo<Upgraded>, Failure> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.dial().await?)).await?;
        tokio::spawn(connection.with_upgrades());
        let request = Request::post(format!("/exec/{exec}/start"))
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(START.as_bytes())))?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(complaint(response).await.into());
        }
        Ok(TokioIo::new(hyper::upgrade::on(response).await?))
    }

    /// Connects to the engine the way that the other calls do.
    async fn dial(&self) -> Result<Box<dyn Duplex>, Failure> {
        let options = &self.inner.options;
        if let Some(path) = options.host.strip_prefix("unix://") {
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        let authority = options
            .host
            .split_once("://")
            .map_or("", |(_, rest)| rest)
            .trim_end_matches('/');
        let stream = TcpStream::connect(authority).await?;
        let Some(tls) = &options.tls else {
            return Ok(Box::new(stream));
        };
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let connector = TlsConnector::from(Arc::new(client(tls)?));
        Ok(Box::new(connector.connect(host, stream).await?))
    }
}

/// A TLS client that shows its certificate and trusts the engine's authority alone.
fn client(tls: &TlsSettings) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        roots.add(certificate)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&tls.cert)?, PrivateKeyDer::from_pem_file(&tls.key)?)?;
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err(io::Error::other(format!("{} has no certificate", file.display())).into());
    }
    Ok(certificates)
}

async fn complaint(response: Response<hyper::body::Incoming>) -> String {
    let status = response.status();
    let body = Limited::new(response.into_body(), COMPLAINT_MAX).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let told: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let message = told.as_ref().and_then(|told| told["message"].as_str());
    message.map_or_else(
        || format!("the engine answers {status}"),
        |text| format!("the engine says: {text}"),
    )
}
