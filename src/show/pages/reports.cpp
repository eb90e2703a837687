#include "show/pages/reports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "show/pages/pages.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::pages {

namespace {

constexpr std::int64_t kReportsAMinute = 20;  // of one address: an office behind one address reports one wave at a time
constexpr std::chrono::days kTogether{30};    // reports of the same within this time are of one wave
constexpr std::array<std::string_view, 3> kDid{"read", "opened", "typed"};

/// One line of at most `most` bytes, whole characters, without control characters.
std::string line_of(std::string_view text, std::size_t most) {
  std::string out;
  const std::string whole = repair_utf8(text.substr(0, most * 2));
  for (std::size_t at = 0; at < whole.size();) {
    std::uint32_t c = 0;
    const std::size_t n = std::max<std::size_t>(1, decode_utf8(whole, at, c));
    if (out.size() + n > most) break;
    if (c < 0x20 || c == 0x7f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) out += ' ';
    else out.append(whole, at, n);
    at += n;
  }
  return std::string(trim(out));
}

/// The value of a header in what was pasted; folded lines are one (RFC 5322 section 2.2.3).
std::string header_in(std::string_view pasted, std::string_view name) {
  std::string found;
  bool inside = false;
  for (std::string_view each : split(pasted.substr(0, 64U << 10U), '\n')) {
    if (each.ends_with('\r')) each.remove_suffix(1);
    if (inside && (each.starts_with(' ') || each.starts_with('\t'))) {
      found += ' ';
      found += trim(each);
      continue;
    }
    if (inside) break;
    const auto colon = each.find(':');
    if (colon != std::string_view::npos && iequals(trim(each.substr(0, colon)), name)) {
      inside = true;
      found = trim(each.substr(colon + 1));
    }
  }
  return found;
}

std::string canonical_or(event::Kind kind, const std::string& text) {
  const auto seen = event::canonical(kind, text);
  return seen ? seen->value : text;
}

/// What two reports have in common when they are about the same mail.
std::string thing_of(const MailReport& r) {
  if (!r.message_id.empty()) return "id " + r.message_id;
  if (!r.sender.empty()) return fmt::format("from {} {}", to_lower_utf8(r.sender), to_lower_utf8(r.subject));
  return "link " + r.link;
}

struct ReportRow {
  std::string token;
  std::int64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(ReportRow, (), (token, number))
struct ThanksRow {
  store::Blob thing;
  std::int64_t number = 0, typed = 0;
};
BOOST_DESCRIBE_STRUCT(ThanksRow, (), (thing, number, typed))

}  // namespace

ReadReport read_report(std::string_view body) {
  ReadReport out;
  // A form is written like a query.
  const auto form = net::request_for(net::Method::post, fmt::format("/?{}", body));
  if (!form) {
    out.faults.emplace_back("sender", "pages.report.fault.form");
    return out;
  }
  const auto said = [&](std::string_view name, std::size_t most) {
    return line_of(form->asked(name).value_or(std::string_view()), most);
  };
  MailReport& r = out.report;
  const std::string_view headers = form->asked("headers").value_or(std::string_view());
  r.reporter = said("reporter", 254);
  r.sender = said("sender", 254);
  r.subject = said("subject", 300);
  r.link = said("link", 2000);
  r.note = said("note", 1000);
  r.did = said("did", 10);
  if (std::find(kDid.begin(), kDid.end(), r.did) == kDid.end()) r.did = "read";
  r.message_id = line_of(header_in(headers, "Message-ID"), 500);
  if (r.sender.empty()) r.sender = line_of(header_in(headers, "From"), 254);
  if (r.subject.empty()) r.subject = line_of(header_in(headers, "Subject"), 300);
  if (!r.reporter.empty()) {
    const auto mail = event::canonical(event::Kind::email, r.reporter);
    if (mail) r.reporter = mail->value;
    else out.faults.emplace_back("reporter", "pages.report.fault.reporter");
  }
  r.sender = canonical_or(event::Kind::email, r.sender);
  r.message_id = canonical_or(event::Kind::message_id, r.message_id);
  r.link = canonical_or(event::Kind::url, r.link);
  if (r.sender.empty() && r.link.empty() && r.message_id.empty())
    out.faults.emplace_back("sender", "pages.report.fault.sender");
  return out;
}

ReportDesk::ReportDesk(Runtime& runtime, store::State& state, const Catalogue& texts, Deliver deliver)
    : runtime_(runtime), state_(state), texts_(texts), deliver_(std::move(deliver)), limits_(runtime) {}

store::RetentionRule ReportDesk::retention() {
  return store::retention_rule(
      "web_report", 30, "who reports the same mail is counted for a month; the report itself is in the history",
      "DELETE FROM web_report WHERE rowid IN (SELECT rowid FROM web_report WHERE at_us < :before LIMIT 10000)");
}

void ReportDesk::add_routes(net::Router& router) {
  net::RouteOptions small;
  small.max_body = 256U << 10U;
  for (const std::string_view path : {"/report", "/anmeld", "/rapporter"})
    router.get(std::string(path), net::Needs::anyone, [this, path](const net::Request& q) {
      Language l = web::language_of(q);
      if (!q.asked("language") && path == "/anmeld") l = Language::da;
      if (!q.asked("language") && path == "/rapporter") l = Language::nb;
      return form(l, {}, 200);
    });
  router.async(
      net::Method::post, "/report", net::Needs::anyone,
      [this](net::Request q, net::Respond respond) { take(std::move(q), std::move(respond)); }, small);
  router.get("/report/thanks/{token}", net::Needs::anyone, [this](const net::Request& q) { return thanks(q); });
}

net::Reply ReportDesk::form(Language l, const ReadReport& filled, int status, std::string_view trouble) const {
  const auto say = [&](std::string_view key) { return escape_html(texts_.say(l, key)); };
  const auto fault_of = [&](std::string_view field) -> std::string_view {
    for (const auto& [name, key] : filled.faults)
      if (name == field) return key;
    return {};
  };
  const MailReport& r = filled.report;
  std::string main =
      fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", say("pages.report.title"), say("pages.report.lead"));
  if (!filled.faults.empty()) {
    main += fmt::format("<div class=\"card warning\" role=\"alert\" tabindex=\"-1\"><h2>{}</h2><ul>\n",
                        say("pages.report.fault.title"));
    for (const auto& [name, key] : filled.faults)
      main += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", name, say(key));
    main += "</ul></div>\n";
  } else if (!trouble.empty()) {
    main += fmt::format("<div class=\"card warning\" role=\"alert\"><h2>{}</h2></div>\n", say(trouble));
  }
  main += fmt::format("<form method=\"post\" action=\"/report?language={}\" accept-charset=\"utf-8\">\n", to_string(l));
  const auto field = [&](std::string_view name, std::string_view value, std::string_view attributes) {
    const std::string_view fault = fault_of(name);
    const std::string hint_key = fmt::format("pages.report.{}.hint", name);
    const bool hint = texts_.has(hint_key);
    std::string described;
    if (hint) described += fmt::format("{}-hint ", name);
    if (!fault.empty()) described += fmt::format("{}-fault", name);
    main += fmt::format("<div class=\"field\"><label for=\"{}\">{}</label>\n", name,
                        say(fmt::format("pages.report.{}", name)));
    if (hint) main += fmt::format("<span class=\"hint\" id=\"{}-hint\">{}</span>\n", name, say(hint_key));
    if (!fault.empty()) main += fmt::format("<span class=\"fault\" id=\"{}-fault\">{}</span>\n", name, say(fault));
    main += fmt::format("<input id=\"{0}\" name=\"{0}\" value=\"{1}\" {2}{3}{4}></div>\n", name, escape_html(value),
                        attributes, described.empty() ? "" : fmt::format(" aria-describedby=\"{}\"", trim(described)),
                        fault.empty() ? "" : " aria-invalid=\"true\"");
  };
  field("sender", r.sender, "maxlength=\"254\" autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\"");
  field("subject", r.subject, "maxlength=\"300\" autocomplete=\"off\"");
  field("link", r.link, "maxlength=\"2000\" autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\"");
  main += fmt::format("<fieldset class=\"field\"><legend>{}</legend>\n", say("pages.report.did"));
  for (const std::string_view each : kDid)
    main += fmt::format("<label class=\"choice\"><input type=\"radio\" name=\"did\" value=\"{}\"{}> {}</label>\n", each,
                        r.did == each ? " checked" : "", say(fmt::format("pages.report.did.{}", each)));
  main += "</fieldset>\n";
  field("reporter", r.reporter, "type=\"email\" maxlength=\"254\" autocomplete=\"email\"");
  field("note", r.note, "maxlength=\"1000\" autocomplete=\"off\"");
  main += fmt::format(
      "<details><summary>{}</summary><div class=\"field\"><label for=\"headers\">{}</label><span class=\"hint\" "
      "id=\"headers-hint\">{}</span><textarea id=\"headers\" name=\"headers\" maxlength=\"65536\" "
      "aria-describedby=\"headers-hint\" "
      "spellcheck=\"false\"></textarea></div></details>\n<p class=\"soft\">{}</p>\n<button "
      "type=\"submit\">{}</button>\n</form>\n",
      say("pages.report.more"), say("pages.report.headers"), say("pages.report.headers.hint"),
      say("pages.report.privacy"), say("pages.report.send"));
  return page(texts_, {l, texts_.say(l, "pages.report.title"), std::move(main), "/report"}, status);
}

void ReportDesk::take(net::Request q, net::Respond respond) {
  const Language l = web::language_of(q);
  ReadReport read = read_report(q.body);
  if (!read.faults.empty()) return respond(form(l, read, 422));
  if (!limits_.take(q.peer.address, kReportsAMinute).allowed) {
    net::Reply reply = form(l, read, 429, "pages.report.fault.many");
    reply.headers.set("Retry-After", "60");
    return respond(std::move(reply));
  }
  std::array<std::byte, 16> bytes{};
  runtime_.random(bytes);
  const std::string token = to_base32(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  const MailReport& r = read.report;
  std::string lines;
  const auto record = [&](std::string_view what) {
    JsonWriter w(lines);
    w.object().member("bavn_report", what).member("at", web::time_text(runtime_.now())).member("id", token);
    for (const auto& [name, value] : {std::pair<std::string_view, const std::string&>{"reporter", r.reporter},
                                      {"sender", r.sender},
                                      {"subject", r.subject},
                                      {"message_id", r.message_id},
                                      {"link", r.link},
                                      {"did", r.did},
                                      {"note", r.note},
                                      {"from_address", q.peer.address}})
      if (!value.empty()) w.member(name, value);
    w.end();
    lines += '\n';
  };
  record("reported");
  if (r.did != "read") record("clicked");
  // Anonymous ones are told apart by where they come from: one desk counts once.
  const store::Blob thing{blake2b256(thing_of(r))};
  const store::Blob reporter{blake2b256(r.reporter.empty() ? "at " + q.peer.address : r.reporter)};
  const bool typed = r.did == "typed";
  auto waiting = std::make_shared<std::pair<net::Respond, ReadReport>>(std::move(respond), std::move(read));
  deliver_(std::move(lines), token, [this, waiting, token, thing, reporter, typed, l](Result<void> kept) {
    if (!kept) {
      log::warn("mail_report_not_kept", {{"reason", to_string(kept.error())}});
      return waiting->first(form(l, waiting->second, 503, "pages.report.fault.later"));
    }
    auto shown = std::make_shared<std::string>(token);
    state_.write(
        [=](store::Tx& tx) -> Result<void> {
          const Instant since = tx.now() - kTogether;
          BAVN_TRY(
              const auto before,
              tx.one<ReportRow>("SELECT token, number FROM web_report WHERE thing = :thing AND reporter = :reporter",
                                {{"thing", thing}, {"reporter", reporter}}));
          if (before) {
            *shown = before->token;
            BAVN_CHECK(tx.exec("UPDATE web_report SET typed = max(typed, :typed) WHERE token = :token",
                               {{"typed", typed}, {"token", before->token}}));
            return {};
          }
          BAVN_TRY(const auto others,
                   tx.number("SELECT count(*) FROM web_report WHERE thing = :thing AND at_us > :since",
                             {{"thing", thing}, {"since", since}}));
          BAVN_CHECK(
              tx.exec("INSERT INTO web_report (token, at_us, thing, reporter, number, typed) "
                      "VALUES (:token, :at, :thing, :reporter, :number, :typed)",
                      {{"token", token},
                       {"at", tx.now()},
                       {"thing", thing},
                       {"reporter", reporter},
                       {"number", others + 1},
                       {"typed", typed}}));
          return tx.emit("mail.reported", *shown);
        },
        [this, waiting, shown, l](const Result<void>& written) {
          if (!written) return waiting->first(form(l, waiting->second, 503, "pages.report.fault.later"));
          net::Reply reply;
          reply.status = 303;
          reply.headers.set("Location", fmt::format("/report/thanks/{}?language={}", *shown, to_string(l)));
          waiting->first(std::move(reply));
        });
  });
}

net::Reply ReportDesk::thanks(const net::Request& q) const {
  const Language l = web::language_of(q);
  const std::string token(q.param("token"));
  std::int64_t all = 0;
  const auto row = state_.read([&](store::Reader& r) -> Result<std::optional<ThanksRow>> {
    BAVN_TRY(auto found,
             r.one<ThanksRow>("SELECT thing, number, typed FROM web_report WHERE token = :token", {{"token", token}}));
    if (found) {
      BAVN_TRY(all, r.number("SELECT count(*) FROM web_report WHERE thing = :thing", {{"thing", found->thing}}));
    }
    return found;
  });
  if (!row) return net::problem(row.error());
  if (!*row) return net::problem({Code::not_found, "there is no such report, or it is older than a month", {}});
  const std::int64_t number = (*row)->number;
  const std::string count = number == 1 && all <= 1 ? texts_.say(l, "pages.thanks.first")
                            : number == 1 ? texts_.say(l, "pages.thanks.first_of", {{"n", std::to_string(all)}})
                                          : texts_.count(l, "pages.thanks.others", number - 1);
  std::string main = fmt::format("<h1>{}</h1>\n<div class=\"card thanks\"><strong>{}</strong></div>\n",
                                 escape_html(texts_.say(l, "pages.thanks.title")), escape_html(count));
  if ((*row)->typed != 0)
    main += fmt::format("<div class=\"card warning\"><h2>{}</h2><p>{}</p></div>\n",
                        escape_html(texts_.say(l, "pages.thanks.typed.title")),
                        escape_html(texts_.say(l, "pages.thanks.typed.text")));
  main += fmt::format("<h2>{}</h2>\n<p>{}</p>\n<p>{}</p>\n", escape_html(texts_.say(l, "pages.thanks.next.title")),
                      escape_html(texts_.say(l, "pages.thanks.next.text")),
                      escape_html(texts_.say(l, "pages.thanks.again")));
  return page(texts_, {l, texts_.say(l, "pages.thanks.title"), std::move(main), q.path});
}

}  // namespace bavn::show::pages
