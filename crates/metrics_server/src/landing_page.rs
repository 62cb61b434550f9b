//! The page at `/`, for people who find the port and want to know what it is.

use crate::build_info::{BuildInfo, REVISION};
use crate::health::{Health, Liveness, Readiness};
use std::fmt::Write;

/// What the page at `/` tells beside the service and its health: the build, and where else to look.
///
/// ```
/// use metrics_server::LandingPage;
/// let page = LandingPage::default()
///     .build(metrics_server::build_info!("gpu_charts"))
///     .link("/heartbeat", "the last result of every probe");
/// ```
#[derive(Clone, Debug, Default)]
pub struct LandingPage {
    build: Option<BuildInfo>,
    links: Vec<(String, String)>,
}

/// What every endpoint has.
const LINKS: [(&str, &str); 3] = [
    ("/metrics", "metrics for Prometheus; ?name[]=NAME restricts them"),
    ("/health", "whether a restart would help, for supervisors"),
    ("/ready", "whether the work is being done, for load balancers"),
];

/// No script and no request to anywhere, so that it also works where nothing but this port can be reached.
const STYLE: &str = "body{font:16px/1.5 sans-serif;margin:2em auto;max-width:44em;padding:0 1em;color:#222}\
    dt{font-weight:bold;margin-top:.5em}dd{margin:0}.ok{color:#060}.bad{color:#a00}";

impl LandingPage {
    /// Names the version; without it only the revision is told.
    #[must_use]
    pub fn build(mut self, build: BuildInfo) -> Self {
        self.build = Some(build);
        self
    }

    /// Adds a link below those to `/metrics`, `/health` and `/ready`, with what it is for.
    #[must_use]
    pub fn link(mut self, path: impl Into<String>, description: impl Into<String>) -> Self {
        self.links.push((path.into(), description.into()));
        self
    }

    /// The page as HTML, with the health of this moment.
    pub(crate) fn html(&self, health: &Health) -> String {
        let service = escaped(health.service());
        let build = match self.build {
            Some(build) => format!("version {}, revision {}", escaped(build.version), escaped(build.revision)),
            None => format!("revision {REVISION}"),
        };
        let (live, reasons) = match health.liveness() {
            Liveness::Ok => ("ok", Vec::new()),
            Liveness::Degraded(reasons) => ("degraded", reasons),
            Liveness::Failing(reasons) => ("failing", reasons),
        };
        let (ready, not_ready) = match health.readiness() {
            Readiness::Ready => ("ready", Vec::new()),
            Readiness::NotReady(reasons) => ("not ready", reasons),
        };
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{service}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{service}</h1>\n<p>{build}</p>\n\
             <p>Health: <b class=\"{}\">{live}</b>, <b class=\"{}\">{ready}</b></p>\n",
            class(live == "ok"),
            class(ready == "ready"),
        );
        let mut all: Vec<&String> = reasons.iter().collect();
        all.extend(not_ready.iter().filter(|reason| !reasons.contains(reason)));
        if !all.is_empty() {
            page.push_str("<ul>\n");
            for reason in all {
                line(&mut page, format_args!("<li>{}</li>", escaped(reason)));
            }
            page.push_str("</ul>\n");
        }
        page.push_str("<dl>\n");
        let own = self.links.iter().map(|(path, description)| (path.as_str(), description.as_str()));
        for (path, description) in LINKS.into_iter().chain(own) {
            let (path, description) = (escaped(path), escaped(description));
            line(&mut page, format_args!("<dt><a href=\"{path}\">{path}</a></dt><dd>{description}</dd>"));
        }
        page.push_str("</dl>\n</body>\n</html>\n");
        page
    }

    /// The paths there are, for somebody who asked for another one.
    pub(crate) fn paths(&self) -> String {
        let own = self.links.iter().map(|(path, _)| path.as_str());
        let paths: Vec<&str> = ["/"].into_iter().chain(LINKS.map(|(path, _)| path)).chain(own).collect();
        let (last, others) = paths.split_last().unwrap_or((&"/", &[]));
        format!("{} and {last}", others.join(", "))
    }
}

fn class(is_good: bool) -> &'static str {
    if is_good { "ok" } else { "bad" }
}

/// Writing to a string does not fail.
fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(page, "{text}");
}

/// Safe in text and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_service_build_health_and_links_and_escapes_all() {
        let health = Health::new("<svc>\"'&");
        let recorder = health.component("recorder", None);
        let build = BuildInfo { prefix: "p", version: "1.2.3<", revision: "abc&", rustc: "1" };
        let page = LandingPage::default().build(build).link("/x?a=1&b=\"", "<own>");
        let html = page.html(&health);
        for part in [
            "<title>&lt;svc&gt;&quot;&#39;&amp;</title>",
            "version 1.2.3&lt;, revision abc&amp;",
            "<b class=\"ok\">ok</b>, <b class=\"bad\">not ready</b>",
            "<li>recorder: starting</li>",
            "<a href=\"/metrics\">/metrics</a>",
            "<a href=\"/health\">/health</a>",
            "<a href=\"/ready\">/ready</a>",
            "<a href=\"/x?a=1&amp;b=&quot;\">/x?a=1&amp;b=&quot;</a></dt><dd>&lt;own&gt;</dd>",
        ] {
            assert!(html.contains(part), "no {part} in {html}");
        }
        recorder.ready();
        assert!(page.html(&health).contains("<b class=\"ok\">ready</b>") && !page.html(&health).contains("<li>"));
        recorder.degraded("disk <full>");
        let html = page.html(&health);
        assert!(html.contains("<b class=\"bad\">degraded</b>"), "{html}");
        assert_eq!(html.matches("<li>recorder: disk &lt;full&gt;</li>").count(), 1, "{html}");
        assert!(!html.contains("src=") && !html.contains("http"), "needs nothing else: {html}");
    }

    #[test]
    fn without_a_build_the_revision_is_told() {
        assert!(LandingPage::default().html(&Health::new("svc")).contains(&format!("<p>revision {REVISION}</p>")));
        assert_eq!(LandingPage::default().paths(), "/, /metrics, /health and /ready");
        assert_eq!(LandingPage::default().link("/own", "").paths(), "/, /metrics, /health, /ready and /own");
    }
}
