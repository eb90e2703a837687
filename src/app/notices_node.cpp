#include "app/notices_node.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "app/answers.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "base/json_writer.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

struct Asked {
  std::string data, id, kind, why;
  bool json = false, not_real = false;
};

void print_notice(net::JsonValue v) {
  fmt::print("{}  {:<9}{:<11}{:<38} {:>6} mails to {:>5} ({} usual)  {}..{}  by {}, {} s late{}\n", v["id"].text_or(""),
             v["kind"].text_or(""), v["level"].text_or(""), v["concern"].text_or(""), n(v["mails"]), n(v["recipients"]),
             n(v["usual"]), when(v["first_at"]), when(v["last_at"]), v["source"].text_or(""), n(v["late_seconds"]),
             v["judged"].text_or("").empty() ? "" : fmt::format("  judged {}", v["judged"].text_or("")));
}

int tell(const Asked& a, const std::string& path, const std::function<void(net::JsonValue)>& print) {
  const auto got = call_control(Folder(a.data), net::Method::get, path);
  if (!got) return failed(got.error());
  const auto document = net::JsonDocument::parse(*got);
  if (!document) return failed(document.error());
  const net::JsonValue v = document->root()["items"] ? document->root()["items"] : document->root();
  if (a.json) fmt::print("{}\n", v.to_text());
  else print(v);
  return kDone;
}

}  // namespace

void add_notice_commands(CLI::App& app, int& rc) {
  auto a = std::make_shared<Asked>();
  auto* notices = app.add_subcommand("notices", "What this node noticed: accounts that look taken, mail to many, harm");
  notices->require_subcommand(1);
  notices->footer("Example: bavn notices list --data /var/lib/bavn");
  const auto leaf = [&](const char* name, const char* help, std::function<int(const Asked&)> run) {
    auto* sub = notices->add_subcommand(name, help);
    sub->add_option("--data", a->data, "The node's data folder")->required();
    sub->add_flag("--json", a->json, "JSON on stdout");
    sub->callback([a, &rc, run] { rc = run(*a); });
    return sub;
  };
  leaf("list", "List them, newest first", [](const Asked& x) {
    return tell(x, x.kind.empty() ? "/api/notices?limit=500" : "/api/notices?limit=500&kind=" + x.kind,
                [](net::JsonValue v) {
                  for (const net::JsonValue one : v) print_notice(one);
                });
  })->add_option("--kind", a->kind, "sender, takeover, burst or harm");
  leaf("show", "Its signs, where the mail went, its Message-IDs",
       [](const Asked& x) {
         return tell(x, "/api/notices/" + x.id, [](net::JsonValue v) {
           print_notice(v["notice"]);
           for (const net::JsonValue s : v["signs"])
             fmt::print("  {}  {}/{}  {}\n", when(s["at"]), s["group"].text_or(""), s["kind"].text_or(""),
                        s["detail"].text_or(""));
           for (const net::JsonValue d : v["domains"])
             fmt::print("  to {:<34} {:>6} mails\n", d["domain"].text_or(""), n(d["mails"]));
           std::size_t ids = 0;
           for ([[maybe_unused]] const net::JsonValue m : v["message_ids"]) ++ids;
           fmt::print("  {} Message-IDs (--json lists them)\n", ids);
         });
       })
      ->add_option("notice", a->id, "Its id")
      ->required();
  auto* judge = leaf("judge", "Say whether it was an attack; the hub is told", [](const Asked& x) {
    std::string body;
    JsonWriter(body).object().member("state", x.not_real ? "false" : "real").member("why", x.why).end();
    const auto got = call_control(Folder(x.data), net::Method::post, "/api/notices/" + x.id + "/judge", body);
    if (!got) return failed(got.error());
    fmt::print("noted\n");
    return kDone;
  });
  judge->add_option("notice", a->id, "Its id")->required();
  judge->add_flag("--false", a->not_real, "It was no attack");
  judge->add_option("--why", a->why, "For the record")->required();
}

}  // namespace bavn::app
