"""Words that say nothing about what a text is about, in languages that are often asked in.

Without accents, as words are compared. Other languages do without: there rare words weigh more.
"""

_WORDS = (
    # English
    "a about an and any are as at be been being but by can could did do does doing for from give "
    "had has have having he her here him his how i if in into is it its just made make many may me "
    "might more most much must my no not of on once one only or our out over please she should "
    "show so some such tell than that the their them then there these they this those to under up "
    "us very was we were what when where which while who whom whose why will with would you your "
    "explain describe summarise summarize find know say "
    # German
    "aber als am an auch auf aus bei bin bis bist da damit das dass dein dem den der des die dies "
    "diese diesem diesen dieser doch du durch ein eine einem einen einer eines er es fur haben hat "
    "hatte ich ihr ihre im in ist ja kann kein keine konnen man mein mich mir mit nach nicht noch "
    "nun nur ob oder ohne sein seine sich sie sind so soll uber um und uns unter vom von vor wann "
    "war waren warum was welche welchem welchen welcher welches wem wen wenn wer werden wie wird "
    "wo woher wohin wurde wurden zu zum zur viel viele "
    # French
    "au aux avec ce ces cet cette combien comme comment dans de des du elle elles en est et etait "
    "eu il ils je la le les leur lui ma mais mes moi mon ne nos notre nous ont ou par pas pour "
    "pourquoi qu quand que quel quelle quelles quels qui quoi sa sans se ses son sont sur ta te "
    "tes toi ton tu un une vos votre vous "
    # Spanish, Portuguese
    "al algo como con cual cuales cuando cuanto cuantos de del desde donde el ella ellas ellos en "
    "era eran es esa ese eso esta estan estas este esto estos fue fueron ha han hay la las le les "
    "lo los mas mi mis muy no nos o os para pero por porque que quien quienes se ser si sin sobre "
    "son su sus tiene tienen un una uno unos y ya ao aos as com da das do dos ela ele eles em "
    "entre foi foram isso isto ja mas me meu na nao nas nem no nos num numa o onde os ou pela pelo "
    "qual quais quando quanto quem sao se sem seu sua tem um uma voce "
    # Italian, Dutch
    "ai al alla alle anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e "
    "ed era erano gli ha hanno i il in io la le lei lo loro lui ma mi nei nel nella non o per "
    "perche piu quale quali quando quanto se si sono su sul sulla un una uno aan aar als bij dat "
    "de deze die dit door een en er geen het hij hoe hoeveel ik is kan maar met mij na naar niet "
    "nog of om onder ook op over te tot uit van voor waar waarom wanneer wat welk welke we wel "
    "wie wij worden wordt zijn zij zo"
)

COMMON = frozenset(_WORDS.split())
