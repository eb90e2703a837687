#include "jail/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <functional>

namespace bavn::jail {

namespace {

using Set = std::function<int(archive*)>;

std::string pack(const Set& format, const Set& filter, const std::vector<std::pair<std::string, std::string>>& files) {
  std::size_t total = 1000 * files.size();
  for (const auto& [name, content] : files) total += content.size();
  std::string out((1U << 20) + total + total / 8, '\0');
  std::size_t used = 0;
  archive* a = archive_write_new();
  EXPECT_EQ(format(a), ARCHIVE_OK);
  EXPECT_EQ(filter(a), ARCHIVE_OK);
  EXPECT_EQ(archive_write_open_memory(a, out.data(), out.size(), &used), ARCHIVE_OK);
  for (const auto& [name, content] : files) {
    archive_entry* e = archive_entry_new();
    archive_entry_set_pathname_utf8(e, name.c_str());
    archive_entry_set_size(e, static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(e, name.ends_with('/') ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(e, 0644);
    EXPECT_EQ(archive_write_header(a, e), ARCHIVE_OK);
    archive_write_data(a, content.data(), content.size());
    archive_entry_free(e);
  }
  EXPECT_EQ(archive_write_close(a), ARCHIVE_OK);
  archive_write_free(a);
  out.resize(used);
  out.shrink_to_fit();
  return out;
}

const std::vector<std::pair<std::string, std::string>> kFiles = {
    {"logs/", ""}, {"logs/a.ndjson", "{\"a\":1}\n"}, {"../../etc/passwd", "not a path"}, {"empty", ""}};

void expect_files(const std::string& packed) {
  const auto flat = archive_members(packed, true);
  ASSERT_TRUE(flat) << flat.error().what;
  const auto members = members_of(*flat).value();
  ASSERT_EQ(members.size(), 3U) << "folders are left out";
  EXPECT_EQ(members[0].name, "logs/a.ndjson");
  EXPECT_EQ(members[0].content, "{\"a\":1}\n");
  EXPECT_EQ(members[1].name, "../../etc/passwd") << "a label, shown as it is";
  EXPECT_EQ(members[2].size, 0U);
  const auto listed = members_of(archive_members(packed, false).value()).value();
  ASSERT_EQ(listed.size(), 3U);
  EXPECT_EQ(listed[0].size, 8U);
  EXPECT_EQ(listed[0].content, "");
}

int plain(archive*) {
  return ARCHIVE_OK;
}

std::string trouble(const std::string& packed) {
  const auto flat = archive_members(packed, true);
  return flat ? "" : flat.error().what;
}

}  // namespace

TEST(Archive, ZipTarAndSevenZipInEveryCompression) {
  expect_files(pack(archive_write_set_format_zip, plain, kFiles));
  expect_files(pack(archive_write_set_format_pax_restricted, plain, kFiles));
  expect_files(pack(archive_write_set_format_pax_restricted, archive_write_add_filter_gzip, kFiles));
  expect_files(pack(archive_write_set_format_pax_restricted, archive_write_add_filter_zstd, kFiles));
  expect_files(pack(archive_write_set_format_pax_restricted, archive_write_add_filter_xz, kFiles));
  expect_files(pack(archive_write_set_format_7zip, plain,
                    {{"logs/a.ndjson", "{\"a\":1}\n"}, {"../../etc/passwd", "not a path"}, {"empty", ""}}));
}

TEST(Archive, OneFileCompressedAlone) {
  const auto flat =
      archive_members(pack(archive_write_set_format_raw, archive_write_add_filter_gzip, {{"x", "line\n"}}), true);
  ASSERT_TRUE(flat) << flat.error().what;
  const auto members = members_of(*flat).value();
  ASSERT_EQ(members.size(), 1U);
  EXPECT_EQ(members[0].name, "data");
  EXPECT_EQ(members[0].content, "line\n");
}

TEST(Archive, BombsAreRefusedByRatioAndBySize) {
  const std::string zeros(220U << 20, '\0');
  EXPECT_NE(trouble(pack(archive_write_set_format_zip, plain, {{"bomb", zeros}})).find("200 times"), std::string::npos);
  std::string noise(130U << 20, '\0');
  std::uint64_t x = 1;
  for (std::size_t i = 0; i + 8 <= noise.size(); i += 8) {
    x = x * 6364136223846793005U + 1442695040888963407U;
    std::copy_n(reinterpret_cast<const char*>(&x), 8, noise.begin() + static_cast<std::ptrdiff_t>(i));
  }
  EXPECT_NE(trouble(pack(archive_write_set_format_pax_restricted, plain, {{"big", noise}})).find("more than 128 MiB"),
            std::string::npos);
}

TEST(Archive, TooManyMembersAreRefused) {
  std::vector<std::pair<std::string, std::string>> files;
  for (int i = 0; i <= 10'000; ++i) files.emplace_back(std::to_string(i), "");
  EXPECT_NE(trouble(pack(archive_write_set_format_pax_restricted, plain, files)).find("10,000 members"),
            std::string::npos);
}

TEST(Archive, EncryptedCutAndForeignBytesSayWhatTheyAre) {
  std::string zip = pack(archive_write_set_format_zip, plain, kFiles);
  std::string locked = zip;
  locked[6] = static_cast<char>(locked[6] | 1);  // general purpose bit 0 of the first member
  EXPECT_NE(trouble("plain text, not packed at all").find("neither zip, tar, 7z"), std::string::npos);
  EXPECT_NE(trouble("").find("archive"), std::string::npos);
  const std::string gz = pack(archive_write_set_format_pax_restricted, archive_write_add_filter_gzip, kFiles);
  for (std::size_t n = 0; n < gz.size(); ++n) {
    const auto cut = archive_members(std::string_view(gz).substr(0, n), true);
    if (cut) {
      EXPECT_TRUE(members_of(*cut)) << n;
    }
  }
  EXPECT_FALSE(archive_members(gz.substr(0, gz.size() / 2), true)) << "half an archive is no archive";
}

TEST(Archive, TheFlatFormChecksItsLengths) {
  const std::string flat = archive_members(pack(archive_write_set_format_zip, plain, kFiles), true).value();
  for (std::size_t n = 1; n < flat.size(); ++n) (void)members_of(std::string_view(flat).substr(0, n));
  EXPECT_EQ(members_of(flat.substr(0, flat.size() - 1)).error().code, Code::corrupt);
  EXPECT_EQ(members_of(std::string(24, '\xFF')).error().code, Code::corrupt);
}

}  // namespace bavn::jail
