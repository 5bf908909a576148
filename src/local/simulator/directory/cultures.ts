/** Words of many languages and scripts, drawn once for a directory so that 200,000 people cost array look-ups only. */
import {
  type Faker,
  fakerAR,
  fakerCS_CZ,
  fakerDA,
  fakerDE,
  fakerEL,
  fakerEN_US,
  fakerES,
  fakerFR,
  fakerHE,
  fakerHU,
  fakerJA,
  fakerKO,
  fakerPL,
  fakerRU,
  fakerSV,
  fakerTH,
  fakerTR,
  fakerVI,
  fakerZH_CN,
} from "@faker-js/faker";
import { type Random, randomOf } from "./random.ts";

interface Origin {
  faker: Faker;
  language: string;
  country: string;
  countryName: string;
  dialling: string;
  weight: number;
  /** How a full name is written. */
  fullName: (given: string, surname: string) => string;
}

const givenFirst = (given: string, surname: string): string => `${given} ${surname}`;
const surnameFirst = (given: string, surname: string): string => `${surname} ${given}`;
const joined = (given: string, surname: string): string => `${surname}${given}`;

const origin = (
  faker: Faker,
  language: string,
  countryName: string,
  dialling: string,
  weight = 1,
  fullName = givenFirst,
): Origin => ({ faker, language, country: language.slice(-2), countryName, dialling, weight, fullName });

const origins: Origin[] = [
  origin(fakerEN_US, "en-US", "United States", "+1", 4),
  origin(fakerDE, "de-DE", "Deutschland", "+49", 4),
  origin(fakerFR, "fr-FR", "France", "+33", 2),
  origin(fakerDA, "da-DK", "Danmark", "+45", 2),
  origin(fakerPL, "pl-PL", "Polska", "+48", 2),
  origin(fakerTR, "tr-TR", "Türkiye", "+90"),
  origin(fakerAR, "ar-EG", "مصر", "+20"),
  origin(fakerHE, "he-IL", "ישראל", "+972"),
  origin(fakerZH_CN, "zh-CN", "中国", "+86", 1, joined),
  origin(fakerJA, "ja-JP", "日本", "+81", 1, surnameFirst),
  origin(fakerTH, "th-TH", "ประเทศไทย", "+66"),
  origin(fakerKO, "ko-KR", "대한민국", "+82", 1, joined),
  origin(fakerEL, "el-GR", "Ελλάδα", "+30"),
  origin(fakerRU, "ru-KZ", "Казахстан", "+7"),
  origin(fakerVI, "vi-VN", "Việt Nam", "+84", 1, surnameFirst),
  origin(fakerSV, "sv-SE", "Sverige", "+46"),
  origin(fakerES, "es-ES", "España", "+34"),
  origin(fakerHU, "hu-HU", "Magyarország", "+36", 1, surnameFirst),
  origin(fakerCS_CZ, "cs-CZ", "Česko", "+420"),
];

export interface Culture extends Omit<Origin, "faker"> {
  givenNames: string[];
  surnames: string[];
  jobTitles: string[];
  places: { city: string; state: string; postalCode: string; streetAddress: string }[];
}

export const departments = [
  "Sales",
  "Finance",
  "Customer Care",
  "Legal & Compliance",
  "Forschung & Entwicklung",
  "Personalwesen",
  "Ressources humaines",
  "Økonomi",
  "Księgowość",
  "Satış",
  "المبيعات",
  "מחקר ופיתוח",
  "人事部",
  "営業部",
  "ฝ่ายขาย",
];

export interface Cultures {
  some(random: Random): Culture;
  /** Latin names for the addresses of people whose own script has no place in one. */
  romanised: Culture;
  companies: string[];
}

const many = (count: number, draw: () => string): string[] => [...new Set(Array.from({ length: count }, draw))];

export function drawCultures(...seed: (string | number)[]): Cultures {
  const all = origins.map(({ faker, ...rest }): Culture => {
    faker.seed(randomOf(...seed, rest.language).below(2 ** 31));
    return {
      ...rest,
      givenNames: many(80, () => faker.person.firstName()),
      surnames: many(120, () => faker.person.lastName()),
      jobTitles: many(30, () => faker.person.jobTitle()),
      places: Array.from({ length: 15 }, () => ({
        city: faker.location.city(),
        state: faker.location.state(),
        postalCode: faker.location.zipCode(),
        streetAddress: faker.location.streetAddress(),
      })),
    };
  });
  const [romanised] = all;
  if (!romanised) throw new Error("No culture");
  fakerDE.seed(randomOf(...seed, "companies").below(2 ** 31));
  const companies = Array.from({ length: 12 }, () => fakerDE.company.name());
  return { some: (random) => random.weighted(all), romanised, companies };
}

const foldings: Record<string, string> = { ß: "ss", ø: "o", æ: "ae", œ: "oe", ł: "l", đ: "d", ı: "i", þ: "th", ð: "d" };

/** What is left of a name in the local part of an address; "" for scripts without Latin letters. */
export const asciiOf = (name: string): string =>
  name
    .toLowerCase()
    .normalize("NFD")
    .replace(/[ßøæœłđıþð]/g, (letter) => foldings[letter] ?? "")
    .replace(/[^a-z0-9']/g, "");
