//! Heads and bodies without end.

use serde_json::json;

use crate::scene::Target;
use crate::support::{Client, crowd_turn};

const MIB: usize = 1024 * 1024;

#[test]
fn must_show_3_a_head_of_200_mib_is_refused() {
    let _turn = crowd_turn();
    let target = Target::with_defaults();
    let fields = format!("X-A: {}\r\n", "a".repeat(65_529)).repeat(16);
    let endless = "a".repeat(fields.len());
    for (begin, filler, status) in [
        ("GET /big HTTP/1.1\r\nHost: x\r\n", fields, 431),
        ("GET /", endless.clone(), 414),
        ("", endless, 414),
    ] {
        let mut client = target.proc.client();
        client.send(begin);
        let taken = flood(&mut client, &filler, 200 * MIB);
        println!("{begin:?} and then 200 MiB: {taken} bytes were taken");
        refused(&mut client, status);
        assert!(taken < 8 * MIB, "{taken} bytes of a head");
    }
    target.unharmed();
}

#[test]
fn must_show_3_ten_thousand_fields_are_refused() {
    let _turn = crowd_turn();
    let target = Target::with_defaults();
    let mut client = target.proc.client();
    let fields: String = (0..10_000).map(|n| format!("X-{n}: 1\r\n")).collect();
    // Refused before it is whole: the rest may be met by a closed connection.
    let _ = client.try_send(format!("GET /many HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    refused(&mut client, 431);
    assert_eq!(target.origin.count("/many"), 0);
    target.unharmed();
}

#[test]
fn must_show_3_a_chunked_body_of_10_gib_is_refused_at_the_limit() {
    let _turn = crowd_turn();
    let target = Target::start(json!({ "proxy": { "maxBodyBytes": "2MiB" } }), 4096);
    let mut client = target.proc.client();
    client.send("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(65_536)).repeat(16);
    let taken = flood(&mut client, &chunk, 10 * 1024 * MIB);
    println!("10 GiB in chunks: {taken} bytes were taken");
    refused(&mut client, 413);
    assert!(taken < 8 * MIB, "{taken} bytes of a body");

    let mut client = target.proc.client();
    client
        .send("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n280000000\r\n");
    refused(&mut client, 413);
    assert_eq!(
        target.origin.count("/body"),
        0,
        "nothing of it reached the origin"
    );
    target.unharmed();
}

/// Sends `filler` again and again until `most` bytes are sent or the connection ends; the bytes that were taken.
fn flood(client: &mut Client, filler: &str, most: usize) -> usize {
    let mut taken = 0;
    while taken < most && client.try_send(filler).is_ok() {
        taken += filler.len();
    }
    taken
}

/// Panics unless the connection ends with this refusal, or with a reset that overtook it.
#[track_caller]
fn refused(client: &mut Client, status: u16) {
    let refusal = client.expect_refusal();
    println!(
        "refused with {:?}",
        refusal.as_ref().map(|reply| reply.status)
    );
    assert!(
        refusal.as_ref().is_none_or(|reply| reply.status == status),
        "{refusal:?}"
    );
}
