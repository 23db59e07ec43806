//! TLS by rustls.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::io;
use std::sync::Arc;

use http::uri::Authority;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use ureq::unversioned::transport::time::{Duration as Wait, Instant};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, Either, NextTimeout, Transport, TransportAdapter,
};

use self::line::Secured;
use self::verifier::Verifier;
use super::{Tls, Trust};
use crate::origin::FetchError;

mod line;
mod verifier;

/// Whether this build speaks TLS.
pub const IS_BUILT: bool = true;

/// What every connection to one origin begins with. Clones share it, and with it the sessions that can be resumed.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    failure: Arc<HandshakeFailure>,
}

impl Client {
    /// A client for the origin of this authority. An error says what is wrong with it.
    pub fn new(trust: &Trust, authority: &Authority) -> Result<Client, String> {
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} can stand in no certificate"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(trust, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Client {
            config: Arc::new(config),
            name,
            failure: Arc::new(HandshakeFailure::new(authority)),
        })
    }

    /// Shakes hands, within what is left of the time to connect.
    fn secure<In: Transport>(
        &self,
        opened: In,
        details: &ConnectionDetails,
    ) -> Result<Secured<In>, ureq::Error> {
        let fail = |error: &rustls::Error| self.failure.tell(error);
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|e| fail(&e))?;
        let mut line = TransportAdapter::new(opened, Arc::clone(&details.current_time));
        line.set_timeout(what_is_left(details));
        session.complete_io(&mut line).map_err(|error| {
            match error.get_ref().and_then(|e| e.downcast_ref()) {
                Some(error) => fail(error),
                None => match ureq::Error::from(error) {
                    ureq::Error::Io(error) => self.failure.tell_end(&error),
                    other => other,
                },
            }
        })?;
        self.failure.end();
        Ok(Secured::new(session, line, details.config))
    }
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS with {:?}", self.name)
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secured<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        opened: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        match (&self.0, opened) {
            (Some(client), Some(opened)) => client
                .secure(opened, details)
                .map(|line| Some(Either::B(line))),
            (_, opened) => Ok(opened.map(Either::A)),
        }
    }
}

/// The certificates of a file, as PEM or DER. An error says what the file would have to be.
pub fn authorities(file: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let certificates = CertificateDer::pem_slice_iter(file)
        .collect::<Result<Vec<_>, _>>()
        .unwrap_or_default();
    let mut roots = RootCertStore::empty();
    if certificates.is_empty()
        || certificates
            .iter()
            .any(|certificate| roots.add(certificate.clone()).is_err())
    {
        return Err(
            "a file of certificates in PEM (-----BEGIN CERTIFICATE-----), each of them whole"
                .to_owned(),
        );
    }
    Ok(certificates
        .iter()
        .map(|certificate| certificate.to_vec())
        .collect())
}

/// What a connector's own error means. `None`: it is not one of ours.
pub(in crate::origin::http) fn failure(error: &(dyn Error + 'static)) -> Option<FetchError> {
    error.downcast_ref().map(|Failure(cause)| *cause)
}

/// Why there is no TLS connection, as it passes through ureq.
#[derive(Debug)]
struct Failure(FetchError);

impl Failure {
    fn certificate() -> ureq::Error {
        ureq::Error::Other(Box::new(Failure(FetchError::Certificate)))
    }

    fn other() -> ureq::Error {
        ureq::Error::Other(Box::new(Failure(FetchError::Tls)))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Error for Failure {}

/// What is left of the time to connect. The connector before this one has used some of it.
fn what_is_left(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Wait::Exact(wait), Instant::Exact(began), Instant::Exact(now)) =
        (timeout.after, details.now, (details.current_time)())
    {
        timeout.after = wait
            .saturating_sub(now.saturating_duration_since(began))
            .into();
    }
    timeout
}

/// What is wrong between this origin and us, told in the log once until it changes.
struct HandshakeFailure {
    /// Host and port.
    server: String,
    /// What was told. Empty: all is well.
    told: Mutex<String>,
}

impl HandshakeFailure {
    fn new(authority: &Authority) -> HandshakeFailure {
        let port = authority.port_u16().unwrap_or(443);
        HandshakeFailure {
            server: format!("{}:{port}", authority.host()),
            told: Mutex::default(),
        }
    }

    fn end(&self) {
        self.told.lock().clear();
    }

    fn tell(&self, error: &rustls::Error) -> ureq::Error {
        let server = &self.server;
        if let rustls::Error::InvalidCertificate(wrong) = error {
            self.log(format!(
                "the certificate of https://{server} is refused: {}. If it is the right server, one of three helps: \
                 backend.tls.caFile, a file with the certificate of its authority or its own in PEM; backend.tls.pinSha256, \
                 what `openssl s_client -connect {server} </dev/null | openssl x509 -fingerprint -sha256 -noout` prints; \
                 backend.tls.insecure true, which accepts any server",
                reason(wrong)
            ));
            return Failure::certificate();
        }
        let hint = match error {
            rustls::Error::InvalidMessage(_) => " (is it plain http:// that this port speaks?)",
            _ => "",
        };
        self.log(format!("no TLS with https://{server}: {error}{hint}"));
        Failure::other()
    }

    fn tell_end(&self, error: &io::Error) -> ureq::Error {
        self.log(format!(
            "no TLS with https://{}: it ended the connection in the handshake ({error})",
            self.server
        ));
        Failure::other()
    }

    fn log(&self, line: String) {
        let mut told = self.told.lock();
        if *told != line {
            log::warn!("{line}");
            *told = line;
        }
    }
}

fn reason(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => "nobody this program knows has signed it".to_owned(),
        wrong if verifier::is_authority(wrong) => "it has signed itself".to_owned(),
        CertificateError::ApplicationVerificationFailure => {
            "it is none of those in backend.tls.pinSha256; the server may have a new one".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired, or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than the one in backend.url".to_owned()
        }
        other => other.to_string(),
    }
}
