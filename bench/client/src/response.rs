//! Reads responses off a stream of bytes: the status, and where the body ends. The body itself is dropped.

/// The longest head, bytes.
const MAX_HEAD: usize = 32 * 1024;

/// Where a connection is within a response.
#[derive(Default)]
pub struct Response {
    head: Vec<u8>,
    /// Bytes of the body still to come; `None` while the head is read.
    left: Option<u64>,
    status: u16,
    closes: bool,
}

/// A response that is complete.
pub struct Complete {
    pub status: u16,
    /// The server closes the connection after it.
    pub closes: bool,
}

impl Response {
    /// Takes `bytes`, of which nothing may follow the response. `Some` once it is complete.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Complete>, String> {
        let body = match self.left {
            Some(_) => bytes.len(),
            None => match self.take_head(bytes)? {
                Some(body) => body,
                None => return Ok(None),
            },
        };
        let left = self.left.unwrap_or(0);
        let left = left
            .checked_sub(body as u64)
            .ok_or("more bytes than the response has")?;
        self.left = Some(left);
        if left > 0 {
            return Ok(None);
        }
        let complete = Complete {
            status: self.status,
            closes: self.closes,
        };
        self.head.clear();
        self.left = None;
        Ok(Some(complete))
    }

    /// Reads the head; the number of bytes behind it, or `None` if it is not complete.
    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let searched = self.head.len().saturating_sub(3);
        self.head
            .extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD)]);
        let end = self.head[searched..]
            .windows(4)
            .position(|window| window == b"\r\n\r\n");
        let Some(end) = end.map(|at| searched + at + 4) else {
            if self.head.len() >= MAX_HEAD {
                return Err("a head without an end".to_owned());
            }
            return Ok(None);
        };
        let held_before = self.head.len() - bytes.len().min(MAX_HEAD);
        let behind = bytes.len() - (end - held_before);
        self.head.truncate(end);
        self.parse()?;
        Ok(Some(behind))
    }

    fn parse(&mut self) -> Result<(), String> {
        let text = String::from_utf8_lossy(&self.head);
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1);
        self.status = status
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| format!("not a status line: {status_line:?}"))?;
        self.closes = false;
        let mut length = None;
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                self.closes = value.eq_ignore_ascii_case("close");
            }
        }
        self.left = Some(length.ok_or_else(|| format!("no Content-Length: {text:?}"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde";

    #[test]
    fn a_response_cut_at_any_byte_is_complete_at_its_last() {
        for cut in 1..WHOLE.len() {
            let mut response = Response::default();
            assert!(response.take(&WHOLE[..cut]).unwrap().is_none(), "{cut}");
            let complete = response.take(&WHOLE[cut..]).unwrap().unwrap();
            assert_eq!((complete.status, complete.closes), (200, true), "{cut}");
        }
    }

    #[test]
    fn bytes_behind_a_response_are_an_error() {
        let mut response = Response::default();
        assert!(response.take(&[WHOLE, b"f"].concat()).is_err());
    }
}
