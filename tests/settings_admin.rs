//! The table `[admin]`.

use std::fs;
use std::time::Duration;

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::settings::{AdminSettings, Settings};
use llm_pool::test_server::TestServer;

const TOKEN: &str = "a-planted-token-hunter2";

/// A file with this text, for one test.
struct Secret(std::path::PathBuf);

impl Secret {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("llm-pool-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn admin(settings: &str) -> String {
    format!("[admin]\n{settings}\n")
}

/// All that `Settings::parse` says of this table.
#[track_caller]
fn refused(settings: &str, problems: &[&str]) {
    let error = Settings::parse(&admin(settings)).unwrap_err();
    assert_eq!(error.problems(), problems, "\n{settings}");
}

#[test]
fn every_setting_of_the_endpoints_is_taken_over() {
    let secret = Secret::new("admin-token", &format!(" {TOKEN}\n"));
    let text = format!(
        "[admin]\nlisten = '[::1]:9099'\ntoken_file = {:?}\ntoken_for_get = true
        hosts = ['pool.internal', 'b']\nmax_head = 300\nmax_body = 10\nmax_connections = 3
        request_timeout = '1 s'\nidle_timeout = '2 s'\ncheck_wait = '0 s'",
        secret.0
    );
    let settings = Settings::parse(&text).unwrap();
    let right = AdminConfig::default()
        .listen("[::1]:9099".parse::<std::net::SocketAddr>().unwrap())
        .token(TOKEN)
        .token_for_get(true)
        .host("pool.internal")
        .host("b")
        .max_head(300)
        .max_body(10)
        .max_connections(3)
        .request_timeout(Duration::from_secs(1))
        .idle_timeout(Duration::from_secs(2))
        .check_wait(Duration::ZERO);
    let config = settings.admin_config().unwrap();
    assert_eq!(format!("{config:?}"), format!("{right:?}"));
    assert_eq!(config.token.as_deref(), Some(TOKEN));
    assert!(!format!("{settings:?} {:?}", settings.values()).contains(TOKEN));
    let listen = settings.values().into_iter().find(|(path, _)| path == "admin.listen");
    assert_eq!(listen.unwrap().1, "\"[::1]:9099\"");
}

#[test]
fn without_a_table_there_is_what_the_endpoints_have_by_default() {
    let config = Settings::default().admin_config().unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", AdminConfig::default()));
    assert!(Admin::new(config).is_ok());
    let by_code = AdminSettings::default().max_connections(7);
    let config = Settings::default().admin(by_code).admin_config().unwrap();
    assert_eq!(config.max_connections, 7);
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    refused(
        "listen = 'localhost'",
        &["admin.listen (line 2, column 10): must be an address and a port, such as \
           \"127.0.0.1:9099\", and is another text"],
    );
    refused(
        "listen = '0.0.0.0:9099'",
        &[
            "admin.listen (line 2, column 10): 0.0.0.0:9099 is not a loopback address, which needs a \
           token",
        ],
    );
    refused(
        "max_connections = 0\nrequest_timeout = '0 s'",
        &[
            "admin.max_connections (line 2, column 19): must be 1 to 1024",
            "admin.request_timeout (line 3, column 19): must be longer than zero",
        ],
    );
    refused(
        "token_env = 'A'\ntoken_file = './b'",
        &["admin.token_file (line 3, column 14): there is token_env already"],
    );
    refused(
        "max_conections = 3",
        &["admin.max_conections (line 2, column 1): unknown name, did you mean `max_connections`?"],
    );
    refused("token_for_get = true", &["admin.token_for_get (line 2, column 17): needs a token"]);
    let named = admin("listen = '0.0.0.0:9099'\ntoken_for_get = true\ntoken_env = 'NOT_SET_X'");
    assert!(Settings::parse(&named).is_ok(), "whether it is there is seen later");
}

#[test]
fn a_token_in_the_file_is_refused_and_not_shown() {
    refused(
        &format!("token = '{TOKEN}'"),
        &[
            "admin.token (line 2, column 1): a secret may not stand in the file: name an environment \
           variable with token_env, or a file with token_file",
        ],
    );
    for wrong in [
        format!("hosts = ['{TOKEN} x']"),
        format!("listen = '{TOKEN}'"),
        format!("hosts = '{TOKEN}'"),
    ] {
        let error = Settings::parse(&admin(&wrong)).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    // In place of the name of its variable.
    let settings = Settings::parse(&admin(&format!("token_env = '{TOKEN}'"))).unwrap();
    let error = settings.admin_config().unwrap_err();
    let shown = format!("{error} {settings:?} {:?}", settings.values());
    assert!(
        error.to_string().contains("admin.token_env: ") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn a_variable_or_file_that_holds_no_good_token_is_refused_by_its_name() {
    let server = TestServer::start().unwrap();
    let short = Secret::new("short-token", "hunter2");
    let models = format!(
        "[providers.own]\nbase_url = '{}/v1'\n[groups.g]\nendpoints = [{{ provider = 'own', model = 'a' }}]\n",
        server.url()
    );
    for (setting, problem) in [
        (
            "token_env = 'NOT_SET_X'".to_owned(),
            "admin.token_env: the environment variable NOT_SET_X is not set",
        ),
        (
            format!("token_file = {:?}", short.0),
            "admin.token_file: the token must be at least 16 printable ASCII characters without spaces",
        ),
    ] {
        let settings = Settings::parse(&format!("{models}{}", admin(&setting))).unwrap();
        assert_eq!(settings.admin_config().unwrap_err().problems(), [problem]);
        assert_eq!(settings.check().unwrap_err().problems(), [problem]);
        // Who serves no endpoints needs no token.
        assert!(settings.build_groups().is_ok());
    }
    let listen = Settings::default().admin(AdminSettings::default().max_body(usize::MAX));
    let problem = "admin.max_body: must be at most 16777216";
    assert_eq!(listen.admin_config().unwrap_err().problems(), [problem]);
    assert!(listen.llm().unwrap_err().problems().contains(&problem.to_owned()));
}

#[test]
fn a_reload_says_that_it_needs_a_restart() {
    let server = TestServer::start().unwrap();
    let parse = |admin: &str| {
        let text = format!("{admin}\n[providers.own]\nbase_url = '{}/v1'", server.url());
        Settings::parse(&text).unwrap()
    };
    let mut running = parse("");
    let pool = running.build().unwrap();
    let secret = Secret::new("reload-token", TOKEN);
    let new = parse(&format!(
        "[admin]\nlisten = '127.0.0.1:9099'\nhosts = ['a']\ntoken_file = {:?}",
        secret.0
    ));
    let done = running.reload(&pool, &new).unwrap();
    assert_eq!(done.applied, [""; 0]);
    assert_eq!(
        done.needs_restart,
        [
            "admin.hosts: [] -> [\"a\"]",
            "admin.listen: \"127.0.0.1:0\" -> \"127.0.0.1:9099\"",
            &format!("admin.token_file: \"none\" -> {:?}", secret.0),
        ]
    );
    let wrong = parse("[admin]\ntoken_env = 'NOT_SET_X'");
    assert!(running.reload(&pool, &wrong).is_err());
}
