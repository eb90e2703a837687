// The Management Activity API: what happened is collected into blobs, which are announced in lists by the time they became
// available. Nothing is in order; the first blobs after a subscription may take twelve hours.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "input/sources/microsoft365/puller.hpp"

namespace bavn::input::microsoft365 {
namespace {

constexpr std::string_view kTypes[] = {"Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint",
                                       "Audit.General"};

struct Blob {
  std::string id, uri;
};

Trouble store_trouble(const Error& e) {
  return {.kind = TroubleKind::server,
          .what = "the node's own store: " + to_string(e),
          .fix = "Is the disk full?",
          .code = {}};
}

}  // namespace

struct ManagementPuller::Listing {
  Instant from, to;
  std::size_t type = 0;
  std::set<std::string> links;
  std::vector<Blob> blobs;  // of this type, not taken before
  std::size_t at = 0;
  std::uint64_t gone = 0;
  Then then;
};

std::string ManagementPuller::feed(std::string_view path_and_query) const {
  const auto& tenant = parts_.access->account().tenant;
  return parts_.access->url(
      Service::manage, fmt::format("/api/v1.0/{0}/activity/feed{1}&PublisherIdentifier={0}", tenant, path_and_query));
}

void ManagementPuller::prepare(Then then) {
  if (subscribed_) then(std::nullopt);
  else subscribe(0, std::move(then));
}

void ManagementPuller::subscribe(std::size_t n, Then then) {
  if (n == std::size(kTypes)) {
    subscribed_ = true;
    then(std::nullopt);
    return;
  }
  Call call{.service = Service::manage,
            .budget = Budget::management,
            .method = net::Method::post,
            .url = feed(fmt::format("/subscriptions/start?contentType={}", kTypes[n])),
            .body = {},
            .permission = std::string(api_.permissions.front()),
            .licence = {}};
  parts_.access->send(std::move(call), guarded<ManagementPuller>(
                                           [n, then = std::move(then)](ManagementPuller& self, Answer answer) mutable {
                                             if (!answer && answer.error().code != "AF20024")  // already enabled
                                               then(std::move(answer.error()));
                                             else self.subscribe(n + 1, std::move(then));
                                           }));
}

void ManagementPuller::read_window(Instant from, Instant to, Then then) {
  auto listing = std::make_shared<Listing>();
  listing->from = std::chrono::floor<std::chrono::seconds>(from);
  listing->to = std::chrono::ceil<std::chrono::seconds>(to);
  listing->then = std::move(then);
  next_type(std::move(listing));
}

void ManagementPuller::next_type(std::shared_ptr<Listing> listing) {
  if (listing->type == std::size(kTypes)) {
    if (listing->gone > 0) note(fmt::format("{} announced blobs were gone when asked for", listing->gone));
    if (blobs_ever_ == 0) note("no blob yet: after the first subscription they may take up to 12 hours");
    listing->then(std::nullopt);
    return;
  }
  listing->blobs.clear();
  listing->links.clear();
  listing->at = 0;
  const auto plain = [](Instant t) {  // without zone letter, as the documentation writes it
    auto text = format_time(t);
    if (text.ends_with('Z')) text.pop_back();
    return text;
  };
  auto url = feed(fmt::format("/subscriptions/content?contentType={}&startTime={}&endTime={}", kTypes[listing->type],
                              plain(listing->from), plain(listing->to)));
  list(std::move(listing), std::move(url));
}

void ManagementPuller::list(std::shared_ptr<Listing> listing, std::string url) {
  if (!same_origin(parts_.access->base(Service::manage), url)) {
    listing->then(Trouble{.kind = TroubleKind::bad_link,
                          .what = "the next list is said to be somewhere else: " + url.substr(0, 200),
                          .fix = "It was not followed. Is a proxy in between?",
                          .code = {}});
    return;
  }
  if (!listing->links.insert(url).second || listing->links.size() > 2000) {
    listing->then(Trouble{
        .kind = TroubleKind::bad_link, .what = "the next list is one that was there before", .fix = {}, .code = {}});
    return;
  }
  auto read = std::make_shared<std::vector<Blob>>();
  Call call{.service = Service::manage,
            .budget = Budget::management,
            .url = std::move(url),
            .body = {},
            .permission = std::string(api_.permissions.front()),
            .licence = {}};
  call.unusable = [read](const net::ClientReply& reply) -> std::optional<std::string> {
    read->clear();
    const auto page = read_page(reply.body, PageShape{.list = "", .key = {"contentId"}});
    if (!page) return page.error().what;
    for (const auto& record : page->records) {
      Blob blob;
      for (auto& [name, value] :
           flat_members(record.line).value_or(std::vector<std::pair<std::string, std::string>>{})) {
        if (name == "contentId") blob.id = std::move(value);
        if (name == "contentUri") blob.uri = std::move(value);
      }
      if (blob.id.empty() || blob.uri.empty()) return "an announced blob without id or address";
      read->push_back(std::move(blob));
    }
    return std::nullopt;
  };
  parts_.access->send(std::move(call),
                      guarded<ManagementPuller>([listing, read](ManagementPuller& self, Answer answer) mutable {
                        if (!answer) {
                          if (answer.error().code == "AF20022" || answer.error().code == "AF20023")
                            self.subscribed_ = false;  // switched off by somebody
                          listing->then(std::move(answer.error()));
                          return;
                        }
                        std::vector<std::string> keys;
                        for (const auto& blob : *read) keys.push_back("blob:" + blob.id);
                        const auto fresh = self.intake_->unseen(keys);
                        if (!fresh) {
                          listing->then(store_trouble(fresh.error()));
                          return;
                        }
                        for (std::size_t i = 0; i < read->size(); ++i)
                          if ((*fresh)[i]) listing->blobs.push_back(std::move((*read)[i]));
                        if (const auto* next = answer->headers.find("NextPageUri"); next != nullptr && !next->empty())
                          self.list(std::move(listing), *next);
                        else self.next_blob(std::move(listing));
                      }));
}

void ManagementPuller::next_blob(std::shared_ptr<Listing> listing) {
  if (listing->at == listing->blobs.size()) {
    ++listing->type;
    next_type(std::move(listing));
    return;
  }
  const Blob& blob = listing->blobs[listing->at];
  if (!same_origin(parts_.access->base(Service::manage), blob.uri)) {
    listing->then(Trouble{.kind = TroubleKind::bad_link,
                          .what = "a blob is said to be somewhere else: " + blob.uri.substr(0, 200),
                          .fix = "It was not fetched. Is a proxy in between?",
                          .code = {}});
    return;
  }
  std::string url = blob.uri;
  url += url.contains('?') ? '&' : '?';
  url += "PublisherIdentifier=" + parts_.access->account().tenant;
  auto read = std::make_shared<std::optional<Page>>();
  Call call{.service = Service::manage,
            .budget = Budget::management,
            .url = std::move(url),
            .body = {},
            .permission = std::string(api_.permissions.front()),
            .licence = {}};
  call.unusable = [read](const net::ClientReply& reply) -> std::optional<std::string> {
    auto page = read_page(reply.body, PageShape{.list = "", .time = "CreationTime", .key = {"Id"}});
    if (!page) return page.error().what;
    *read = std::move(*page);
    return std::nullopt;
  };
  parts_.access->send(
      std::move(call), guarded<ManagementPuller>([listing, read](ManagementPuller& self, Answer answer) mutable {
        const auto key = "blob:" + listing->blobs[listing->at].id;
        std::vector<Record> records;
        if (!answer) {
          const auto& trouble = answer.error();
          const bool gone = trouble.code.starts_with("AF2005") || trouble.status == 404 ||
                            trouble.status == 410;  // expired, does not exist
          if (!gone) {
            listing->then(trouble);
            return;
          }
          ++listing->gone;
          log::warn("microsoft365_blob_gone", {{"source", self.intake_->origin().source}, {"code", trouble.code}});
        } else {
          records = std::move((*read)->records);
          ++self.blobs_ever_;
        }
        self.intake_->take(
            std::move(records),
            [source = self.intake_->origin().source, key](store::Tx& tx) { return Intake::mark(tx, source, key); },
            self.guarded<ManagementPuller>([listing](ManagementPuller& me, Result<Taken> taken) mutable {
              if (!taken) {
                listing->then(store_trouble(taken.error()));
                return;
              }
              if (me.live()) me.measured(taken->newest);
              ++listing->at;
              me.next_blob(std::move(listing));
            }));
      }));
}

}  // namespace bavn::input::microsoft365
