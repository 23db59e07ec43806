//! Which certificates are accepted.

use std::sync::Arc;

use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::origin::http::tls::{Pin, Trust};

/// Judges the certificate of one origin.
#[derive(Debug)]
pub struct Verifier {
    judge: Judge,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Judge {
    /// By who signed it, its names and its dates. `own`: those the user named.
    Chain {
        chain: Arc<WebPkiServerVerifier>,
        own: Vec<CertificateDer<'static>>,
    },
    /// By its fingerprint alone.
    Pins(Vec<Pin>),
    /// Not at all.
    Nobody,
}

impl Verifier {
    /// Judges by `trust`. An error says which of it cannot be used.
    pub fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Verifier, String> {
        let judge = if trust.is_insecure {
            Judge::Nobody
        } else if trust.pins.is_empty() {
            let own: Vec<CertificateDer<'static>> =
                trust.authorities.iter().cloned().map(Into::into).collect();
            let mut roots = RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            };
            for certificate in &own {
                roots
                    .add(certificate.clone())
                    .map_err(|error| error.to_string())?;
            }
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            Judge::Chain {
                chain: builder.build().map_err(|error| error.to_string())?,
                own,
            }
        } else {
            Judge::Pins(trust.pins.clone())
        };
        Ok(Verifier {
            judge,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.judge {
            Judge::Chain { chain, own } => {
                match chain.verify_server_cert(certificate, intermediates, name, stapled, now) {
                    Err(Error::InvalidCertificate(error))
                        if is_authority(&error) && own.contains(certificate) =>
                    {
                        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                        Ok(ServerCertVerified::assertion())
                    }
                    judged => judged,
                }
            }
            Judge::Pins(pins) if !pins.contains(&fingerprint(certificate)) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Judge::Pins(_) | Judge::Nobody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.judge {
            Judge::Nobody => Ok(HandshakeSignatureValid::assertion()),
            _ => crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.judge {
            Judge::Nobody => Ok(HandshakeSignatureValid::assertion()),
            _ => crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the one thing wrong is that the server shows the certificate of an authority, as `openssl req -x509` makes them.
/// Its dates have been found good before that is noticed.
pub fn is_authority(error: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(cause)) = error else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Pin {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    Pin(bytes)
}
