//! The page and the description of the API. What the page looks like is for `scripts/chart-picture.sh`.

use tempfile::TempDir;

use crate::{
    client::{Answer, request},
    running::Running,
};

#[test]
fn the_page_has_all_it_names() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let page = server.get("/").expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let mut wanted: Vec<String> = Vec::new();
    let named = |answer: &Answer| -> Vec<String> {
        let words = answer.text().split(['"', '\'']).map(|word| word.replace("./", "/static/"));
        words.filter(|word| word.starts_with("/static/")).collect()
    };
    wanted.extend(named(&page));
    let mut seen: Vec<String> = Vec::new();
    while let Some(path) = wanted.pop() {
        if !seen.contains(&path) {
            let file = server.get(&path).expect(200);
            assert!(file.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
            assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
            // Nothing from elsewhere, which the policy would refuse.
            assert!(!file.text().contains("//cdn") && !file.text().contains("https://"), "{path}");
            wanted.extend(named(&file));
            let head = request(server.data, "HEAD", &path).expect(200);
            assert_eq!(head.header("content-length"), Some(file.body.len().to_string().as_str()));
            seen.push(path);
        }
    }
    seen.sort();
    let scripts =
        ["/static/chart.js", "/static/columns.js", "/static/page.js", "/static/stream.js", "/static/style.css"];
    assert_eq!(seen, scripts);
}

#[test]
fn the_description_names_every_path_and_parameter() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let answer = server.get("/api/openapi.json").expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let described: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths.len(), 7);
    for path in paths {
        assert_ne!(server.get(path).status, 404, "{path}");
    }
    let parameters: Vec<&str> = described["paths"]["/api/data"]["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    let known = [
        "symbol",
        "type",
        "start",
        "end",
        "start_ns",
        "end_ns",
        "columns",
        "exchange",
        "max_points",
        "reduce",
        "reduce_column",
        "format",
        "strict",
    ];
    assert_eq!(parameters, known);
}
