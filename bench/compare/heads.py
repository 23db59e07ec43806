"""The request heads every figure of a hit is taken with. A head of one field flatters a program that reads heads slowly."""

HEADS = {
    # What load generators send.
    "wrk": ["Host: 127.0.0.1:8676"],
    # What Home Assistant's REST sensors send, by aiohttp.
    "HA": [
        "Host: 127.0.0.1:8676",
        "User-Agent: HomeAssistant/2026.11.1 aiohttp/3.13.2 Python/3.13",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate, br, zstd",
    ],
    # What Chrome sends when a page fetches its data.
    "browser": [
        "Host: 127.0.0.1:8676",
        "Connection: keep-alive",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
        "sec-ch-ua-mobile: ?0",
        "Accept: application/json, text/plain, */*",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        "Referer: http://127.0.0.1:8676/dashboard",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    ],
}
