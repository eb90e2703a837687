#include "app/status_page.hpp"

#include <fmt/format.h>

#include "base/json_writer.hpp"

namespace bavn::app {

namespace {

std::int64_t seconds_between(Instant from, Instant to) {
  return std::chrono::duration_cast<std::chrono::seconds>(to - from).count();
}

std::string state_text(const StatusView& view, const StatusView::Municipality& m) {
  if (m.state == "never") return "not yet connected";
  if (m.state == "revoked") return "certificate revoked";
  if (m.state == "away") return "away for " + plain_duration(seconds_between(m.last_seen, view.now));
  return m.behind == 0 ? "connected" : fmt::format("connected, {} behind", m.behind);
}

void append_tile(std::string& out, const StatusView& view, const StatusView::Municipality& m) {
  out += fmt::format("<li class=\"tile{}\"><h3><span>{}</span><span class=\"state {}\">{}</span></h3>\n",
                     m.open_alerts > 0 ? " burns" : "", escape_html(m.name.empty() ? m.code : m.name),
                     escape_html(m.state), escape_html(state_text(view, m)));
  if (m.open_alerts > 0)
    out += fmt::format("<p>{} open {}</p>\n", m.open_alerts, m.open_alerts == 1 ? "alert" : "alerts");
  if (!m.alerts.empty()) {
    out += "<ul class=\"alerts\">\n";
    for (const auto& a : m.alerts)
      out +=
          fmt::format("<li><span class=\"n\">{} &times;</span><span>{}{}</span></li>\n", a.count, escape_html(a.title),
                      a.about.empty() ? "" : " <span class=\"soft\">" + escape_html(a.about) + "</span>");
    out += "</ul>\n";
  }
  if (!m.sources.empty()) {
    out += "<ul class=\"sources\">\n";
    for (const auto& s : m.sources) {
      const bool bad = s.state == "failing";
      std::string right = bad ? "failing" : s.state;
      if (!bad && s.lag_seconds && *s.lag_seconds >= 0) right = plain_duration(*s.lag_seconds) + " late";
      else if (!bad && s.newest_age_seconds) right = "newest " + plain_duration(*s.newest_age_seconds) + " old";
      if (s.records > 0)
        right = fmt::format("{} {}, {}", with_commas(s.records), s.records == 1 ? "record" : "records", right);
      if (s.refused > 0) right += fmt::format(", {} refused", with_commas(s.refused));
      out += fmt::format("<li{}><span>{}</span><span>{}</span>{}</li>\n", bad ? " class=\"failing\"" : "",
                         escape_html(s.name), escape_html(right),
                         s.text.empty() ? "" : "<small>" + escape_html(s.text) + "</small>");
    }
    out += "</ul>\n";
  }
  if (m.private_mb > 0) out += fmt::format("<p class=\"soft\">guest node, {:.0f} MB of its own</p>\n", m.private_mb);
  out += "</li>\n";
}

void append_wave(std::string& out, const StatusView& view, const StatusView::Wave& w) {
  out += fmt::format(
      "<li class=\"wave {0}\"><h3><span>{1}</span><span class=\"state\">{2}</span></h3>\n<p class=\"soft\">severity "
      "{3}, first "
      "mail {4} ago</p>\n",
      escape_html(w.severity), escape_html(w.title), escape_html(w.state), escape_html(w.severity),
      plain_duration(seconds_between(w.first, view.now)));
  if (!w.figures.empty()) {
    out += "<dl>\n";
    for (const auto& f : w.figures)
      out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape_html(f.name), escape_html(f.value));
    out += "</dl>\n";
  }
  if (!w.steps.empty()) {
    out += "<ol class=\"steps\">\n";
    for (const std::string& s : w.steps) out += fmt::format("<li>{}</li>\n", escape_html(s));
    out += "</ol>\n";
  }
  out += "</li>\n";
}

}  // namespace

std::string with_commas(std::uint64_t n) {
  std::string out = std::to_string(n);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, 1, ',');
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string plain_duration(std::int64_t seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 120 * 60) return fmt::format("{} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} days", seconds / 86400);
}

std::string status_html(const StatusView& view) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\">\n<title>{0}</title><link rel=\"stylesheet\" href=\"/status.css\"><script src=\"/status.js\" "
      "defer></script>\n<noscript><meta http-equiv=\"refresh\" "
      "content=\"5\"></noscript></head><body>\n<header><h1><svg viewBox=\"0 0 16 16\" "
      "aria-hidden=\"true\"><path fill=\"var(--fire)\" d=\"M8 1c.6 2.6 3.8 4 3.8 7.3A3.8 3.8 0 0 1 8 12.2a3.8 3.8 0 0 "
      "1-3.8-3.9C4.2 6.4 5.6 5.6 6 4c.9.6 1.4 1.4 1.5 2.4C8.2 5 8.3 3 8 1z\"/><path fill=\"var(--soft)\" d=\"M3 "
      "13h10v2H3z\"/></svg>"
      "{0}</h1><span class=\"soft\">Bavn {1}</span></header>\n<main>\n",
      escape_html(view.title), escape_html(view.version));
  std::uint64_t alerts = 0;
  std::size_t connected = 0;
  for (const auto& m : view.municipalities) {
    alerts += m.open_alerts;
    connected += m.state == "connected" ? 1 : 0;
  }
  out += fmt::format("<p class=\"says\">{} of {} connected. {}</p>\n", connected, view.municipalities.size(),
                     alerts == 0   ? "No open alerts."
                     : alerts == 1 ? "One open alert."
                                   : fmt::format("{} open alerts.", alerts));
  for (const std::string& t : view.trouble) out += fmt::format("<p class=\"failing\">{}</p>\n", escape_html(t));
  if (!view.waves.empty()) {
    out += "<h2>What burns</h2>\n<ul class=\"waves\">\n";
    for (const auto& w : view.waves) append_wave(out, view, w);
    out += "</ul>\n";
  }
  if (!view.figures.empty()) {
    out += "<dl>\n";
    for (const auto& f : view.figures)
      out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape_html(f.name), escape_html(f.value));
    out += "</dl>\n";
  }
  out += "<h2>Municipalities</h2>\n<ul class=\"tiles\">\n";
  for (const auto& m : view.municipalities) append_tile(out, view, m);
  out += "</ul>\n";
  if (!view.blind.empty()) {
    out += "<h2>What is not seen here</h2>\n<ul class=\"blind\">\n";
    for (const auto& b : view.blind)
      out += fmt::format("<li><strong>{}</strong> <span class=\"soft\">{}</span></li>\n", escape_html(b.name),
                         escape_html(b.what));
    out += "</ul>\n";
  }
  if (!view.commands.empty()) {
    out += "<h2>Try</h2>\n<pre tabindex=\"0\">";
    for (const std::string& c : view.commands) out += escape_html(c) + "\n";
    out += "</pre>\n";
  }
  out += fmt::format(
      "<p class=\"soft\">As of {}, running for {}.</p>\n</main>\n<footer><p id=\"connection\" "
      "role=\"status\"></p><p>The same as "
      "JSON: <a href=\"/status.json\">status.json</a></p></footer></body></html>\n",
      format_time(std::chrono::floor<std::chrono::seconds>(view.now)),
      plain_duration(seconds_between(view.since, view.now)));
  return out;
}

std::string status_json(const StatusView& view) {
  std::string out;
  JsonWriter w(out);
  w.object();
  w.member("title", view.title).member("version", view.version).member("now", format_time(view.now));
  w.member("since", format_time(view.since));
  w.key("figures").object();
  for (const auto& f : view.figures) w.member(f.name, f.value);
  w.end();
  w.key("trouble").array();
  for (const std::string& t : view.trouble) w.value(t);
  w.end();
  w.key("blind").array();
  for (const auto& b : view.blind) w.object().member("name", b.name).member("what", b.what).end();
  w.end();
  w.key("waves").array();
  for (const auto& v : view.waves) {
    w.object().member("title", v.title).member("state", v.state).member("severity", v.severity);
    w.member("first", format_time(v.first)).key("figures").object();
    for (const auto& f : v.figures) w.member(f.name, f.value);
    w.end().key("steps").array();
    for (const std::string& s : v.steps) w.value(s);
    w.end().end();
  }
  w.end();
  w.key("municipalities").array();
  for (const auto& m : view.municipalities) {
    w.object().member("code", m.code).member("name", m.name).member("state", m.state);
    if (m.last_seen != Instant{}) w.member("last_seen", format_time(m.last_seen));
    w.member("behind", m.behind).member("open_alerts", m.open_alerts);
    if (m.private_mb > 0) w.member("private_mb", m.private_mb);
    w.key("sources").array();
    for (const auto& s : m.sources) {
      w.object().member("name", s.name).member("state", s.state);
      if (!s.text.empty()) w.member("text", s.text);
      if (s.lag_seconds) w.member("lag_seconds", *s.lag_seconds);
      if (s.newest_age_seconds) w.member("newest_age_seconds", *s.newest_age_seconds);
      w.member("records", s.records).member("refused", s.refused).end();
    }
    w.end();
    w.key("alerts").array();
    for (const auto& a : m.alerts)
      w.object()
          .member("title", a.title)
          .member("level", a.level)
          .member("about", a.about)
          .member("count", a.count)
          .member("last", format_time(a.last))
          .end();
    w.end().end();
  }
  w.end();
  w.end();
  out += '\n';
  return out;
}

}  // namespace bavn::app
