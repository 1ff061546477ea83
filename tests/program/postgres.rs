//! The index in PostgreSQL: a real server, down at the start and killed meanwhile, and two nodes that share it.

use std::process::Stdio;

use super::control::ask;
use super::daemon::Daemon;
use super::harness::Home;
use super::postgres_server::{PASSWORD, Server};

/// Settings of a server whose data nobody needs again.
const FAST: [&str; 1] = ["fsync=off"];

fn line(number: usize) -> String {
    format!(
        "{{\"infohash\":\"{number:040x}\",\"name\":\"A thing of number {number}\",\"size\":7,\"file_count\":1,\"found\":1,\"seen\":1}}\n"
    )
}

/// No output may have the password in it, as it is written or as a URL has it.
fn hides_the_password(text: &str) {
    assert!(!text.contains(PASSWORD) && !text.contains("sesame"), "{text}");
}

/// Runs SQL until it says what is expected.
fn until(server: &Server, sql: &str, expected: &str) {
    let last = std::iter::repeat_with(|| server.sql(sql)).take(5_000).find(|said| said == expected);
    assert!(last.is_some(), "{}", server.sql("SELECT * FROM trackerless.lease"));
}

#[test]
fn an_index_in_a_database_is_used_by_every_command_and_its_password_is_nowhere() {
    let Some(server) = Server::start(&FAST) else { return };
    let (home, url) = (Home::new(), server.url());
    let run = |args: &[&str], code| {
        let ended = home.run(&[args, &["--index-database", &url]].concat()).expect_code(code);
        hides_the_password(&format!("{}{}", ended.stdout, ended.stderr));
        ended
    };
    assert!(run(&["search", "thing"], 1).stderr.contains("there is no index at postgres://trackerless@/postgres"));
    let lines = line(1) + &line(2);
    let imported = home.run_with_input(&["index", "import", "--json", "--index-database", &url], &lines).expect_code(0);
    assert_eq!(imported.json()[0]["new"], 2);
    assert_eq!(run(&["search", "thing", "--json"], 0).json().len(), 2);
    run(&["index", "forget", "number 2", "--yes"], 0);
    let status = run(&["index", "status", "--json"], 0).json().remove(0);
    assert_eq!((&status["torrents"], &status["marks"]), (&1.into(), &1.into()));
    assert_eq!(run(&["index", "export"], 0).stdout.lines().count(), 1);
    let shown = run(&["config"], 0).stdout;
    assert!(shown.contains("index_database = \"postgres://trackerless@/postgres?host="), "{shown}");
    let wrong = url.replace("sesame", "sesame%20street");
    let ended = home.run(&["search", "thing", "--index-database", &wrong]).expect_code(1);
    assert!(
        ended.stderr.contains("password authentication failed") && ended.stderr.contains("cure:"),
        "{}",
        ended.stderr
    );
    hides_the_password(&ended.stderr);
    let two = url.replace('?', "?password_file=/none&");
    let ended = home.run(&["search", "thing", "--index-database", &two]).expect_code(2);
    assert!(ended.stderr.contains("several passwords"), "{}", ended.stderr);
    hides_the_password(&ended.stderr);
}

#[test]
fn a_connection_by_tls_is_made_to_who_shows_the_certificate_of_the_host_alone() {
    let home = Home::new();
    let Some((key, certificate)) = certificate(&home) else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}"), "ssl=on".to_owned()];
    let files = [format!("ssl_key_file={key}"), format!("ssl_cert_file={certificate}")];
    let settings: Vec<&str> = FAST.into_iter().chain(settings.iter().chain(&files).map(String::as_str)).collect();
    let Some(server) = Server::start(&settings) else { return };
    let password = PASSWORD.replace(' ', "%20");
    let import = |host: &str, authorities: &str| {
        let url = format!("postgres://trackerless:{password}@{host}:{port}/postgres?sslmode=require");
        let mut command = home.command(&["index", "import", "one.jsonl", "--index-database", &url]);
        let ended = command.env("SSL_CERT_FILE", authorities).env("SSL_CERT_DIR", "/none").output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    home.write("one.jsonl", line(1));
    assert_eq!(import("localhost", &certificate), (Some(0), String::new()));
    assert_eq!(server.sql("SELECT count(*) FROM trackerless.torrent"), "1");
    let (code, said) = import("127.0.0.1", &certificate);
    assert!(code != Some(0) && said.contains("cannot be reached"), "another name: {said}");
    let other = certificate_of(&home, "other").unwrap().1;
    let (code, said) = import("localhost", &other);
    assert!(code != Some(0) && said.contains("cannot be reached") && said.contains("certificate"), "{said}");
    hides_the_password(&said);
}

/// A key and a certificate for `localhost`.
fn certificate(home: &Home) -> Option<(String, String)> {
    let made = certificate_of(home, "server");
    assert!(made.is_some() || std::env::var_os("CI").is_none(), "CI needs openssl");
    made
}

fn certificate_of(home: &Home, name: &str) -> Option<(String, String)> {
    let [key, certificate] = ["key", "pem"].map(|kind| format!("{}/{name}.{kind}", home.path().display()));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &certificate]);
    let made = openssl.output().ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    super::postgres_server::give_to_the_server(home.path(), &[&key, &certificate]);
    Some((key, certificate))
}

#[test]
fn a_schema_from_the_future_stops_commands_and_not_the_node() {
    let Some(server) = Server::start(&FAST) else { return };
    let (home, url) = (Home::new(), server.url());
    home.run_with_input(&["index", "import", "--index-database", &url], &line(1)).expect_code(0);
    server.sql("UPDATE trackerless.schema SET version = 99");
    let ended = home.run(&["search", "thing", "--index-database", &url]).expect_code(2);
    assert!(ended.stderr.contains("has schema 99; this program knows"), "{}", ended.stderr);
    let mut node = node(&home, "data", &[], &["--index", "mine", "--index-database", &url]);
    node.wait_for("ready");
    assert_eq!(ask(&node, "GET /api/v1/search?q=thing", &[], "").status, 503);
    let (code, log) = node.stop("TERM");
    assert!(code == Some(0) && log.contains("has schema 99"), "{log}");
}

fn node(home: &Home, data: &str, routers: &[&str], flags: &[&str]) -> Daemon {
    let common = ["--bind", "127.0.0.1:0", "--gateway", "off", "--control", "127.0.0.1:0"];
    Daemon::start_with(home, data, routers, &[&common[..], flags].concat())
}

#[test]
fn a_database_that_is_down_at_the_start_and_later_is_one_line_each_and_the_node_goes_on() {
    let Some(mut server) = Server::start(&FAST) else { return };
    let (home, url) = (Home::new(), server.url());
    home.run_with_input(&["index", "import", "--index-database", &url], &line(1)).expect_code(0);
    server.kill();
    let ended = home.run(&["search", "thing", "--index-database", &url]).expect_code(1);
    assert!(ended.stderr.contains("cannot be reached") && ended.stderr.contains("cure:"), "{}", ended.stderr);
    let mut node = node(&home, "data", &[], &["--index", "passive", "--index-database", &url]);
    node.wait_for("ready");
    let search = || ask(&node, "GET /api/v1/search?q=thing", &[], "");
    for _ in 0..2 {
        // Whoever asks is told at once.
        for _ in 0..20 {
            let answer = search();
            assert_eq!(answer.status, 503, "{}", answer.body);
            hides_the_password(&answer.body);
        }
        server.run();
        let found = std::iter::repeat_with(search).find(|answer| answer.status == 200).unwrap().json();
        assert_eq!(found["torrents"].as_array().unwrap().len(), 1);
        server.kill();
    }
    assert_eq!(search().status, 503);
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    assert_eq!((log.matches("cannot be reached").count(), log.matches("is reached again").count()), (3, 2), "{log}");
    hides_the_password(&log);
}

#[test]
fn what_was_acknowledged_is_there_after_the_server_was_killed_under_load() {
    // With every write on the disk, as it is for users.
    let Some(mut server) = Server::start(&[]) else { return };
    let (home, url) = (Home::new(), server.url());
    let mut kept = 0;
    for round in 0..3 {
        let mut command = home.command(&["index", "import", "--index-database", &url]);
        let mut import = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = import.stdin.take().unwrap();
        let feeding = std::thread::spawn(move || {
            use std::io::Write as _;
            // It ends when the import does.
            (round * 1_000_000..).map(line).try_for_each(|line| input.write_all(line.as_bytes()))
        });
        // What others see is committed.
        let count = "SELECT count(*) FROM trackerless.torrent";
        while round == 0 && server.sql("SELECT to_regclass('trackerless.total')").is_empty() {}
        let mut counts = std::iter::repeat_with(|| server.sql(count)).map(|count| count.parse::<u64>().unwrap());
        let seen = counts.find(|seen| *seen >= kept + 2_000).unwrap();
        server.kill();
        let ended = import.wait_with_output().unwrap();
        assert!(feeding.join().unwrap().is_err());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("cannot be reached"), "{said}");
        server.run();
        kept = server.sql(count).parse().unwrap();
        assert!(kept >= seen, "{kept} of {seen}");
        assert_eq!(server.sql("SELECT torrents FROM trackerless.total"), kept.to_string());
    }
    let found = home.run(&["search", "thing", "--json", "--limit", "5", "--index-database", &url]).expect_code(0);
    assert_eq!(found.json().len(), 5);
}

#[test]
fn two_nodes_divide_the_survey_and_the_share_of_a_dead_one_is_taken_over() {
    let Some(server) = Server::start(&FAST) else { return };
    let (home, url) = (Home::new(), server.url());
    let survey = ["--index", "survey", "--index-database", &url];
    let one = node(&home, "one", &[], &survey);
    while server.sql("SELECT to_regclass('trackerless.lease')").is_empty() {}
    let divided = "SELECT string_agg(held::text, ' ') FROM (SELECT count(*) AS held FROM trackerless.lease \
        WHERE expires > now() GROUP BY node) AS held";
    until(&server, divided, "64");
    let two = node(&home, "two", &[&one.address], &survey);
    until(&server, divided, "32 32");
    one.stop("KILL");
    until(&server, divided, "64");
    assert_eq!(server.sql("SELECT count(DISTINCT node) FROM trackerless.lease"), "1");
    assert_eq!(two.stop("TERM").0, Some(0));
}
