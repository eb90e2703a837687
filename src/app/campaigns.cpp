// bavn campaigns: what the hub sees together, asked of the running hub.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "app/campaigns_hub.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/process.hpp"
#include "base/json_writer.hpp"
#include "base/time.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {

struct Asked {
  std::string data, id, state, why, trigger, mode, municipality, language = "da", cert, phone, mail;
  bool json = false, not_real = false, name_sender = false;
};

std::string when(net::JsonValue v) {
  const std::int64_t us = v.integer().value_or(0);
  return us == 0 ? "-" : format_time(from_micros(us / 1'000'000 * 1'000'000));
}

std::int64_t n(net::JsonValue v) {
  return v.integer().value_or(0);
}

int said(const Result<std::string>& answer, bool json, const std::function<void(net::JsonValue)>& tell) {
  if (!answer) return failed(answer.error());
  if (json || answer->empty()) {
    fmt::print("{}\n", answer->empty() ? "done" : *answer);
    return kDone;
  }
  const auto document = net::JsonDocument::parse(*answer);
  if (!document) return failed(document.error());
  tell(document->root());
  return kDone;
}

void print_campaign(net::JsonValue c) {
  fmt::print("{:>5}  {:<10} severity {}  {:>3} municipalities {:>6} mails {:>4} clicks  since {}  {}{}\n", n(c["id"]),
             c["state"].text_or(""), n(c["severity"]), n(c["municipalities"]), n(c["mails"]), n(c["clicks"]),
             when(c["first_us"]), c["cause"].text_or(""),
             c["lit_by"].text_or("").empty() ? "" : fmt::format(", lit by {}", c["lit_by"].text_or("")));
}

int list(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get,
                           a.state.empty() ? "/api/campaigns" : "/api/campaigns?state=" + a.state),
              a.json, [](net::JsonValue v) {
                for (const net::JsonValue c : v) print_campaign(c);
              });
}

int show(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get, "/api/campaigns/" + a.id), a.json, [](net::JsonValue f) {
    print_campaign(f["campaign"]);
    for (const net::JsonValue s : f["senders"])
      fmt::print("  from {:<40} {:>6} mails since {}{}\n", s["address"].text_or(""), n(s["mails"]), when(s["first_us"]),
                 n(s["takeover"]) != 0 ? "  (its account looks taken)" : "");
    for (const net::JsonValue e : f["edges"])
      fmt::print("  {:04} -> {:<8} {:>6} mails since {}\n", n(e["from"]),
                 n(e["to"]) == 0 ? std::string("outside") : fmt::format("{:04}", n(e["to"])), n(e["mails"]),
                 when(e["first_us"]));
    for (const net::JsonValue s : f["signs"])
      fmt::print("  sign {}/{} {} x{} {}\n", s["group"].text_or(""), s["kind"].text_or(""), when(s["at_us"]),
                 n(s["count"]), s["detail"].text_or(""));
    for (const net::JsonValue o : f["observables"])
      fmt::print("  {} {}\n", o["kind"].text_or(""), o["value"].text_or(""));
    for (const net::JsonValue v : f["victims"]) fmt::print("  {}: {}\n", v["kind"].text_or(""), n(v["count"]));
    fmt::print("  seconds from its first mail: noticed {}, known here {}, lit {}\n", n(f["seconds_to_notice"]),
               n(f["seconds_to_hub"]), n(f["seconds_to_lit"]));
  });
}

int noticing(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get, "/api/noticing"), a.json, [](net::JsonValue v) {
    const net::JsonValue f = v["false_warnings"];
    fmt::print("false warnings in {:.0f} days: {} of {}; at most {:.2f} a month (95 %)\n",
               f["days"].number().value_or(0), n(f["not_real"]), n(f["lit"]), f["at_most"].number().value_or(0));
    for (const net::JsonValue t : v["triggers"])
      fmt::print("{:<14} {:<8} opened {}, suspicions {}, lit {} ({} real, {} false)  {}\n", t["name"].text_or(""),
                 t["mode"].text_or(""), n(t["opened"]), n(t["suspicions"]), n(t["lit"]), n(t["real"]), n(t["not_real"]),
                 t["why"].text_or(""));
    for (const net::JsonValue c : v["candidates"])
      fmt::print("candidates by {:<14} {:>6}, {} still open\n", c["cause"].text_or(""), n(c["opened"]), n(c["open"]));
    fmt::print("suspicions open {}, waiting for the next shift {}\n", n(v["suspicions"]), n(v["waiting"]));
    for (const net::JsonValue r : v["refused"])
      fmt::print("refused from {:04}: {} {} x{} ({})\n", n(r["municipality"]), r["kind"].text_or(""),
                 r["reason"].text_or(""), n(r["count"]), r["example"].text_or(""));
  });
}

int letters(const Asked& a) {
  const auto query = fmt::format("/api/campaigns/{}/letters?language={}&cert={}&phone={}&mail={}&name_sender={}", a.id,
                                 a.language, net::percent_encoded(a.cert), net::percent_encoded(a.phone),
                                 net::percent_encoded(a.mail), a.name_sender ? "yes" : "no");
  return said(call_control(Folder(a.data), net::Method::get, query), a.json, [](net::JsonValue v) {
    for (const net::JsonValue l : v)
      fmt::print("--- {} ({})\n{}\n\n{}\n\n", l["domain"].text_or(""), l["kind"].text_or(""), l["subject"].text_or(""),
                 l["body"].text_or(""));
  });
}

int post(const Asked& a, const std::string& path, const std::string& body) {
  return said(call_control(Folder(a.data), net::Method::post, path, body), a.json, [](net::JsonValue) {});
}

std::string body_of(const std::function<void(JsonWriter&)>& fill) {
  std::string out;
  JsonWriter w(out);
  w.object();
  fill(w);
  w.end();
  return out;
}

}  // namespace

void add_campaign_commands(CLI::App& app, int& rc) {
  auto a = std::make_shared<Asked>();
  auto* campaigns = app.add_subcommand("campaigns", "What the hub sees together: waves of mail over municipalities");
  campaigns->require_subcommand(1);
  campaigns->footer("Example: bavn campaigns list --data /var/lib/bavn-hub");
  const auto leaf = [&](const char* name, const char* help, std::function<int(const Asked&)> run) {
    auto* sub = campaigns->add_subcommand(name, help);
    sub->add_option("--data", a->data, "The hub's data folder")->required();
    sub->add_flag("--json", a->json, "JSON on stdout");
    sub->callback([a, &rc, run] { rc = run(*a); });
    return sub;
  };
  const auto named = [&](CLI::App* sub) { sub->add_option("campaign", a->id, "Its number")->required(); };
  leaf("list", "List them, newest first", list)
      ->add_option("--state", a->state, "candidate, waiting, suspicion, lit, over, false");
  named(leaf("show", "Who sent it to whom, signs, what to look for", show));
  leaf("noticing", "How often warnings were false, which triggers are live, what was refused", noticing);
  auto* judge = leaf("judge", "Say whether it was an attack; a false one is withdrawn everywhere", [](const Asked& x) {
    return post(x, "/api/campaigns/" + x.id + "/judge",
                body_of([&](JsonWriter& w) { w.member("real", !x.not_real).member("why", x.why); }));
  });
  named(judge);
  judge->add_flag("--false", a->not_real, "It was no attack");
  judge->add_option("--why", a->why, "For the record")->required();
  named(leaf("confirm", "Light the warning now",
             [](const Asked& x) { return post(x, "/api/campaigns/" + x.id + "/confirm", "{}"); }));
  named(leaf("close", "It is over", [](const Asked& x) { return post(x, "/api/campaigns/" + x.id + "/close", "{}"); }));
  auto* l = leaf("letters", "Letters to recipients outside the community", letters);
  named(l);
  l->add_option("--language", a->language, "da, nb or en");
  l->add_option("--cert", a->cert, "Who writes")->required();
  l->add_option("--phone", a->phone, "How to reach them");
  l->add_option("--mail", a->mail, "How to reach them");
  l->add_flag("--name-sender", a->name_sender, "Name the sending domain (agreed with it)");
  named(leaf("outside", "Recipients outside the community, as a list", [](const Asked& x) {
    const auto got = call_control(Folder(x.data), net::Method::get, "/api/campaigns/" + x.id + "/outside.csv");
    if (!got) return failed(got.error());
    fmt::print("{}", *got);
    return kDone;
  }));
  auto* mode = leaf("trigger", "Set how a trigger may light a warning", [](const Asked& x) {
    return post(x, "/api/triggers/" + x.trigger,
                body_of([&](JsonWriter& w) { w.member("mode", x.mode).member("why", x.why); }));
  });
  mode->add_option("trigger", a->trigger, "sender_notice or burst")->required();
  mode->add_option("mode", a->mode, "shadow, live or confirm")->required();
  mode->add_option("--why", a->why, "For the record")->required();
  auto* trust = leaf("trust", "Believe a municipality's notices again after a false one", [](const Asked& x) {
    return post(x, "/api/trust/" + x.municipality, body_of([&](JsonWriter& w) { w.member("why", x.why); }));
  });
  trust->add_option("municipality", a->municipality, "Its code")->required();
  trust->add_option("--why", a->why, "For the record")->required();
}

}  // namespace bavn::app
