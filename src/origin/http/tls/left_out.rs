//! The build without TLS: https:// is refused where the configuration is read.

use std::error::Error;

use http::uri::Authority;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};

use super::{Tls, Trust};
use crate::origin::FetchError;

/// Whether this build speaks TLS.
pub const IS_BUILT: bool = false;

/// There is none in this build.
#[derive(Clone, Debug)]
pub enum Client {}

impl Client {
    /// Says that there is none.
    pub fn new(_: &Trust, _: &Authority) -> Result<Client, String> {
        Err("this build is without TLS".to_owned())
    }
}

/// Says that nothing is read.
pub fn authorities(_: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    Err("a file that this build, without TLS, does not read".to_owned())
}

/// What a connector's own error means. `None`: it is not one of ours, as none is in this build.
pub(in crate::origin::http) fn failure(_: &(dyn Error + 'static)) -> Option<FetchError> {
    None
}

impl<In: Transport> Connector<In> for Tls {
    type Out = In;

    fn connect(
        &self,
        _: &ConnectionDetails,
        opened: Option<In>,
    ) -> Result<Option<In>, ureq::Error> {
        Ok(opened)
    }
}
