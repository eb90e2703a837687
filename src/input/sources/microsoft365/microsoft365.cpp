#include "input/sources/microsoft365/microsoft365.hpp"

#include <algorithm>
#include <future>

#include "base/text.hpp"

namespace bavn::input::microsoft365 {
namespace {

struct AccountRow {
  std::string label;
  MunicipalityId municipality;
  TenantId tenant;
  std::string directory, client, login, graph, manage, domains;
};
BOOST_DESCRIBE_STRUCT(AccountRow, (), (label, municipality, tenant, directory, client, login, graph, manage, domains))

std::string file_stem(const std::string& data, std::string_view label) {
  return data + "/m365/" + (label.empty() ? "first" : std::string(label));
}

}  // namespace

std::string key_path(const std::string& data, std::string_view label) {
  return file_stem(data, label) + ".key.pem";
}

std::string source_name(const Api& api, std::string_view label) {
  std::string name = "m365." + std::string(api.name);
  if (!label.empty()) name += "@" + std::string(label);
  return name;
}

Microsoft365::Microsoft365(Runtime& runtime, net::Client& client, QueueId queue, Sink& sink, SourceBook& book,
                           store::State& state, TenantOptions options)
    : access_(std::make_shared<Access>(runtime, client, queue, options.account)) {
  for (const auto& api : apis()) {
    if (std::find(options.off.begin(), options.off.end(), api.name) != options.off.end()) continue;
    pullers_.push_back(make_puller(
        {access_, sink, book, state}, api,
        {.source = source_name(api, options.label), .municipality = options.municipality, .tenant = options.tenant}));
  }
}

Microsoft365::~Microsoft365() {
  stop_here();
}

void Microsoft365::stop_here() {
  for (auto& puller : pullers_) puller->stop();
  access_->stop();
}

void Microsoft365::stop_and_wait() {
  std::promise<void> stopped;
  access_->runtime().after(Duration{0}, access_->queue(), [this, &stopped] {
    stop_here();
    stopped.set_value();
  });
  stopped.get_future().wait();
}

void Microsoft365::on_queue(void (Puller::*what)()) {
  for (auto& puller : pullers_)
    access_->runtime().after(Duration{0}, access_->queue(), [weak = std::weak_ptr(puller), what] {
      if (const auto alive = weak.lock()) (*alive.*what)();
    });
}

void Microsoft365::start() {
  on_queue(&Puller::start);
}

void Microsoft365::poke() {
  on_queue(&Puller::poke);
}

Result<std::vector<TenantOptions>> stored_accounts(const store::State& state, Files& files, const std::string& data) {
  BAVN_TRY(auto rows, state.read([](store::Reader& db) {
    return db.all<AccountRow>(
        "SELECT label, municipality, tenant, directory, client, login, graph, manage, domains FROM m365_account ORDER "
        "BY label");
  }));
  std::vector<TenantOptions> out;
  for (auto& row : rows) {
    BAVN_TRY(auto key, read_file(files, key_path(data, row.label), 64U << 10U));
    BAVN_TRY(auto certificate, read_file(files, file_stem(data, row.label) + ".cert.pem", 64U << 10U));
    out.push_back({.account = {.tenant = row.directory,
                               .client = row.client,
                               .identity = {.key_pem = std::move(key), .certificate_pem = std::move(certificate)},
                               .endpoints = {.login = row.login, .graph = row.graph, .manage = row.manage}},
                   .municipality = row.municipality,
                   .tenant = row.tenant,
                   .label = row.label});
    for (const auto domain : split(row.domains, ' '))
      if (!domain.empty()) out.back().domains.push_back(to_lower(domain));
  }
  return out;
}

Result<void> store_account(store::State& state, Files& files, const std::string& data, const TenantOptions& options,
                           const std::vector<std::string>& domains) {
  BAVN_CHECK(files.make_dirs(data + "/m365"));
  BAVN_CHECK(replace_file(files, key_path(data, options.label), options.account.identity.key_pem));
  BAVN_CHECK(
      replace_file(files, file_stem(data, options.label) + ".cert.pem", options.account.identity.certificate_pem));
  std::string all;
  for (const auto& domain : domains) all += (all.empty() ? "" : " ") + domain;
  const auto& a = options.account;
  return state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(
        tx.exec("INSERT INTO m365_account (label, municipality, tenant, directory, client, login, graph, manage, "
                "domains) VALUES (:l, :m, :t, :d, :c, :lo, :g, :ma, :do) "
                "ON CONFLICT (label) DO UPDATE SET municipality = :m, tenant = :t, directory = :d, client = :c, login "
                "= :lo, graph = :g, manage = :ma, domains = :do",
                {{"l", options.label},
                 {"m", options.municipality},
                 {"t", options.tenant},
                 {"d", a.tenant},
                 {"c", a.client},
                 {"lo", a.endpoints.login},
                 {"g", a.endpoints.graph},
                 {"ma", a.endpoints.manage},
                 {"do", all}}));
    return {};
  });
}

Result<void> forget_account(store::State& state, Files& files, const std::string& data, std::string_view label) {
  for (const auto& path : {key_path(data, label), file_stem(data, label) + ".cert.pem"})
    if (files.exists(path)) BAVN_CHECK(files.unlink(path));
  return state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM m365_account WHERE label = :l", {{"l", label}}));
    for (const auto& api : apis()) {
      const auto source = source_name(api, label);
      for (const char* sql :
           {"DELETE FROM m365_cursor WHERE source = :s", "DELETE FROM m365_seen WHERE source = :s",
            "DELETE FROM m365_pending WHERE source = :s", "DELETE FROM m365_setting WHERE source = :s"})
        BAVN_CHECK(tx.exec(sql, {{"s", source}}));
    }
    return {};
  });
}

}  // namespace bavn::input::microsoft365
