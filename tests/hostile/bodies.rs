//! Bodies that are announced and do not come, or are cut: nothing of them reaches the origin.

use crate::scene::Target;
use crate::support::Client;

#[test]
fn an_announced_body_that_never_comes_takes_nothing_from_others() {
    let target = Target::with_defaults();
    let begin = |method: &str, fields: &str| {
        let mut client = target.proc.client();
        client.send(format!(
            "{method} /never HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 5000\r\n\r\n"
        ));
        client
    };
    let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"];
    let silent: Vec<Client> = methods.iter().map(|method| begin(method, "")).collect();
    let expecting: Vec<Client> = (0..20)
        .map(|_| begin("POST", "Expect: 100-continue\r\n"))
        .collect();
    target.serves_others();
    drop(silent);
    drop(expecting);
    target.unharmed();
    assert_eq!(target.origin.count("/never"), 0);
}

#[test]
fn expect_100_continue_from_an_honest_client() {
    let target = Target::with_defaults();
    let mut client = target.proc.client();
    client.send(
        "POST /post HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    let first = client.read();
    // RFC 9110 §10.1.1: go ahead, or a final status in its place.
    if first.status == 100 {
        client.send("hello");
        client.read().expect("BYPASS", "/post");
        assert_eq!(target.origin.last("/post").body, b"hello");
    } else {
        assert_eq!(first.status, 417, "{first:?}");
    }
    target.unharmed();
}

#[test]
fn a_cut_body_is_not_forwarded() {
    let target = Target::with_defaults();
    for request in [
        "POST /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
        "POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
        "POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n12345\r\n0\r\n\r\n",
    ] {
        let mut half_closed = target.proc.client();
        half_closed.send(request);
        half_closed.finish_sending();
        half_closed.expect_refusal();
        let mut gone = target.proc.client();
        gone.send(request);
        drop(gone);
    }
    target.unharmed();
    assert_eq!(target.origin.count("/cut"), 0);
}
