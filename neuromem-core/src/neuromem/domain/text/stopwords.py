"""Words that say nothing about what a text is about, per language: BM25 ignores them, and they betray a language."""

from __future__ import annotations

_ENGLISH = """
a about above after again against ain all am an and any are aren aren't as at be because been before being below
between both but by can can't cannot could couldn couldn't d did didn didn't do does doesn doesn't doing don don't
down during each few for from further had hadn hadn't has hasn hasn't have haven haven't having he he'd he'll he's her
here here's hers herself him himself his how how's i i'd i'll i'm i've if in into is isn isn't it it's its itself just
let's ll m me might mightn more most mustn mustn't my myself needn no nor not now o of off on once only or other ought
our ours ourselves out over own re s same shan shan't she she'd she'll she's should should've shouldn shouldn't so
some such t than that that'll that's the their theirs them themselves then there there's these they they'd they'll
they're they've this those through to too under until up ve very was wasn wasn't we we'd we'll we're we've were weren
weren't what what's when when's where where's which while who who's whom why why's will with won won't would wouldn
wouldn't y you you'd you'll you're you've your yours yourself yourselves
"""

_GERMAN = """
ab aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch auf aus bei beim
bin bis bist da dabei dafür damit dann das dass daß dein deine deinem deinen deiner dem den denn der des dessen dich
die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einige er es etwas
euch euer eure für gegen hab habe haben hast hat hatte hatten hattest hier hin hinter ich ihm ihn ihnen ihr ihre ihrem
ihren ihrer im in indem ins ist ja jede jedem jeden jeder jedes jene jener kann kannst können könnte man manche mein
meine meinem meinen meiner mich mir mit muss musste nach nicht noch nun nur ob oder ohne sehr sein seine seinem seinen
seiner selbst sich sie sind so solche soll sollte sondern sonst über um und uns unser unsere unter viel vom von vor
während war waren warst was weg weil welche welchem welchen welcher welches wenn wer werde werden wie wieder will wir
wird wirst wo wollen wollte worden wurde wurden würde würden zu zum zur zwar zwischen
"""

_FRENCH = """
à afin ai aie ainsi alors as au aucun aussi autre aux avaient avais avait avant avec avez avions avoir avons ayant c
ce ceci cela celle celles celui ces cet cette ceux chez comme comment d dans de depuis des donc dont du elle elles en
encore entre es est et étaient étais était étant été êtes étions être eu eux fait font furent fut il ils j je l la le
les leur leurs lors lui m ma mais me même mes moi mon n ne ni nos notre nous on ont ou où par pas pendant peu peut
plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se sera serait ses si soit sommes son
sont sous suis sur t ta tandis te tes toi ton tous tout toute toutes très tu un une vers vos votre vous y c'est d'un
d'une j'ai l'on n'a n'est qu'il qu'elle qu'on s'est
"""

_SPANISH = """
a al algo algunas algunos ante antes aquel aquella así aún aunque cada como con contra cual cuales cuando cuándo cuál
cómo de del desde donde dónde dos durante e el él ella ellas ellos en entre era eran eras es esa esas ese eso esos
esta está están estaba estado estar estas este esto estos estoy fue fueron ha había han has hasta hay he la las le les
lo los más me mi mí mis mientras mucho muy nada ni no nos nosotros nuestra nuestro o os otra otro para pero poco por
porque pues que qué quien quién se sea ser si sí sido sin sobre son soy su sus también tanto te ti tiene tienen todo
todos tu tú tus un una unas uno unos usted ustedes vosotros y ya yo
"""

_ITALIAN = """
a abbiamo ad agli ai al alla alle allo anche avere aveva avevano c che chi ci come con contro cosa cui da dagli dai
dal dalla dalle dei del della delle dello dentro di dopo dove e è ed era erano essere fa fra fu gli ha hai hanno ho i
il in io l la le lei li lo loro lui ma me mentre mi mia mie miei mio molto ne né negli nei nel nella nelle nello noi
non nostra nostro o ogni per perché però più poi prima quale quali quando quanto quella quelle quelli quello questa
queste questi questo qui se sei si sia siamo siete sono sopra sotto sta stata stati stato su sua sue sugli sui sul
sulla suo suoi tra tu tua tuo tutti tutto un una uno vi voi
"""

_PORTUGUESE = """
a à ao aos aquela aquele aquilo as às até com como da das de dela dele deles do dos e é ela elas ele eles em entre era
eram essa esse isso esta está estão estava este isto eu foi foram há isso já lhe lhes mais mas me mesmo meu meus minha
minhas muito na não nas nem no nos nós nossa nosso num numa o os ou para pela pelas pelo pelos por porque qual quais
quando que quê quem se sem ser será seu seus são só sobre sua suas também te tem têm tinha tu tua um uma umas uns você
vocês
"""

_DUTCH = """
aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge geen geweest
haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je jij jou jouw kan kon kunnen maar me meer
men met mij mijn moet na naar niet niets nog nu of om omdat onder ons onze ook op over reeds te tegen toch toen tot u
uit uw van veel voor waar waarom wanneer want waren was wat we wel werd wezen wie wij wil worden wordt zal ze zelf
zich zij zijn zo zonder zou
"""

STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": _ENGLISH,
        "de": _GERMAN,
        "fr": _FRENCH,
        "es": _SPANISH,
        "it": _ITALIAN,
        "pt": _PORTUGUESE,
        "nl": _DUTCH,
    }.items()
}
"""Stop words in lower case by language code. Changing them changes tokens: raise `tokenizer.TOKENIZER`."""
