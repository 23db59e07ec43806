//! TLS before the scripted origin: what comes is decrypted and passed on, what goes back is encrypted.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring::{default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

/// A certificate and the key that a server has for it.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    pub pem: String,
}

/// How a server behaves.
pub struct Manner {
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Says that it ends a connection before it does (RFC 8446 §6.1).
    pub takes_leave: bool,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            versions: rustls::ALL_VERSIONS,
            takes_leave: true,
        }
    }
}

/// A TLS server on a free port of 127.0.0.1, before a plain one. It lives until the tests end.
pub struct Server {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Identity {
    /// A certificate for these names that has signed itself, changed by `change`.
    pub fn own(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    /// A certificate for these names that an authority has signed, and that authority's own in PEM.
    pub fn signed(
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Identity, String) {
        let mut above = CertificateParams::default();
        above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = above.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(above, key);
        let mut params = CertificateParams::new(
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (
            Identity {
                certificate: certificate.der().clone(),
                pem: certificate.pem(),
                key,
            },
            authority,
        )
    }

    /// The SHA-256 of the certificate, as openssl prints it.
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":")
    }

    /// The same certificate in the hands of somebody who has not its key.
    pub fn without_its_key(self) -> Identity {
        Identity {
            key: KeyPair::generate().unwrap(),
            ..self
        }
    }
}

/// A certificate as `openssl req -x509` makes it: its own authority.
pub fn as_openssl_makes_it(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

/// A certificate that was good until 2001.
pub fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
}

impl Server {
    /// A server with that certificate before the plain `http://host:port`.
    pub fn before(url: &str, identity: Identity, manner: Manner) -> Server {
        let behind: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let config = configuration(identity, manner.versions);
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::AcqRel);
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                std::thread::spawn(move || serve(stream, session, behind, manner.takes_leave));
            }
        });
        Server { addr, connections }
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// All connections it ever accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

/// Shows its certificate without a look at the key beside it.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn configuration(
    identity: Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let key = sign::any_supported_type(&key).unwrap();
    let shown = Shown(Arc::new(CertifiedKey::new(vec![identity.certificate], key)));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions);
    Arc::new(
        config
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown)),
    )
}

/// Shakes hands, then passes on what either side says until one of them ends.
fn serve(
    mut client: TcpStream,
    mut session: ServerConnection,
    behind: SocketAddr,
    takes_leave: bool,
) {
    let _ = client.set_nodelay(true);
    if session.complete_io(&mut client).is_err() {
        return;
    }
    let Ok(mut plain) = TcpStream::connect(behind) else {
        return;
    };
    let session = Arc::new(Mutex::new(session));
    let theirs = Arc::clone(&session);
    let mut to_client = client.try_clone().unwrap();
    let mut from_plain = plain.try_clone().unwrap();
    let back = std::thread::spawn(move || {
        let mut block = [0; 16 * 1024];
        while let Ok(count @ 1..) = from_plain.read(&mut block) {
            let mut session = theirs.lock().unwrap();
            session.writer().write_all(&block[..count]).unwrap();
            if !flush(&mut session, &mut to_client) {
                break;
            }
        }
        if takes_leave {
            let mut session = theirs.lock().unwrap();
            session.send_close_notify();
            flush(&mut session, &mut to_client);
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut block = [0; 16 * 1024];
    let mut count = 0;
    loop {
        // The first turn takes what came with the end of the handshake.
        let Some(said) = decrypt(&mut session.lock().unwrap(), &block[..count]) else {
            break;
        };
        if plain.write_all(&said).is_err() {
            break;
        }
        count = client.read(&mut block).unwrap_or(0);
        if count == 0 {
            break;
        }
    }
    let _ = plain.shutdown(Shutdown::Both);
    let _ = back.join();
}

fn decrypt(session: &mut ServerConnection, mut came: &[u8]) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    loop {
        let mut piece = vec![
            0;
            session
                .process_new_packets()
                .ok()?
                .plaintext_bytes_to_read()
        ];
        session.reader().read_exact(&mut piece).ok()?;
        said.extend(piece);
        if came.is_empty() {
            return Some(said);
        }
        session.read_tls(&mut came).ok()?;
    }
}

fn flush(session: &mut ServerConnection, to: &mut TcpStream) -> bool {
    while session.wants_write() {
        if session.write_tls(to).is_err() {
            return false;
        }
    }
    true
}
